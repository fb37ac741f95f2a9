import type { Scenario } from './scenario.ts';
import { access } from './scenarios/access.ts';
import { connect } from './scenarios/connect.ts';
import { encoding } from './scenarios/encoding.ts';
import { flowControl } from './scenarios/flow-control.ts';
import { publish } from './scenarios/publish.ts';
import { qualityOfService } from './scenarios/quality-of-service.ts';
import { retained } from './scenarios/retained.ts';
import { session } from './scenarios/session.ts';
import { shared } from './scenarios/shared.ts';
import { subscribe } from './scenarios/subscribe.ts';
import { topicAlias } from './scenarios/topic-alias.ts';
import { topic } from './scenarios/topic.ts';
import { transport } from './scenarios/transport.ts';
import { webSocket } from './scenarios/web-socket.ts';
import { will } from './scenarios/will.ts';

/** Every scenario by the chapter it belongs to. */
export const SCENARIOS = {
  encoding,
  connect,
  session,
  will,
  publish,
  'quality of service': qualityOfService,
  retained,
  subscribe,
  topic,
  'flow control': flowControl,
  'topic alias': topicAlias,
  'shared subscriptions': shared,
  access,
  transport,
  webSocket,
} as const satisfies Readonly<Record<string, readonly Scenario[]>>;
