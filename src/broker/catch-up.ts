import { topicMatchesFilter } from '../codec/topic.ts';
import type { RecordView, Ring } from '../ring/types.ts';
import { RecordFlag } from '../ring/types.ts';
import type { ClientSession, Subscription } from './client-session.ts';
import { publicationOf } from './retained.ts';
import { mergeBySession, type TopicTable } from './topics.ts';

/**
 * Delivers to a session, from the ring and in its order, every message it has not had yet, while
 * newer ones queue behind. Ends when the session is live, or its connection has changed.
 */
export async function catchUp(
  session: ClientSession,
  ring: Ring,
  topics: TopicTable,
): Promise<void> {
  const { generation } = session;
  const gone = () => session.generation !== generation;
  for (;;) {
    const upTo = ring.lastSequence;
    await durableUpTo(ring);
    if (gone()) return;
    // What is in flight is repeated whatever has become of its subscription.
    const skipsTopics = !session.delivery.hasUnsent;
    const scan = ring.scan({
      fromSequence: session.delivery.position,
      toSequence: upTo + 1,
      anyFlag: RecordFlag.session,
      ...(skipsTopics && { wantsTopic: (topic) => matching(session, topic).length > 0 }),
    });
    for await (const records of scan) {
      for (const record of records) {
        if (!isWanted(session, record)) continue;
        await session.roomToSend();
        if (gone()) return;
        deliver(session, record, topics);
      }
      if (gone()) return;
    }
    if (gone()) return;
    session.delivery.passed(upTo);
    if (session.caughtUp()) return;
  }
}

function isWanted(session: ClientSession, record: RecordView): boolean {
  return (record.flags & RecordFlag.session) !== 0 && !session.delivery.isDone(record.sequence);
}

function deliver(session: ClientSession, record: RecordView, topics: TopicTable): void {
  if (!session.mayRead(record.topic)) return;
  const inFlight = session.unsentInFlight(record.sequence);
  if (inFlight !== undefined) {
    session.repeatFromRing(inFlight, publicationOf(record, topics));
    return;
  }
  const covering = matching(session, record.topic).filter(({ since, options }) => {
    const isOwn = options.noLocal && record.origin === session.clientId;
    return since <= record.sequence && !isOwn;
  });
  const match = mergeBySession(covering)[0];
  if (match === undefined) return;
  const publication = publicationOf(record, topics);
  const qos = publication.qos < match.qos ? publication.qos : match.qos;
  if (qos === 0) return;
  const retain = publication.retain && match.retainAsPublished;
  session.deliverFromRing(publication, qos, retain, match.subscriptionIds);
}

function matching(session: ClientSession, topic: string): Subscription[] {
  const found: Subscription[] = [];
  for (const subscription of session.subscriptions.values()) {
    if (topicMatchesFilter(topic, subscription.filter)) found.push(subscription);
  }
  return found;
}

function durableUpTo(ring: Ring): Promise<void> {
  if (ring.durableSequence >= ring.lastSequence) return Promise.resolve();
  return new Promise((resolve) => ring.whenDurable({ onDurable: () => resolve() }));
}
