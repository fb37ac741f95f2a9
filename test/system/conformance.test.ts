import { beforeAll, describe, test } from 'vitest';
import { SCENARIOS } from '../conformance/all-scenarios.ts';
import { ExecutableTransport } from '../conformance/executable-transport.ts';
import { runOrFailAsKnown } from '../conformance/known-gaps.ts';
import { nameOf, type Scenario, World } from '../conformance/scenario.ts';
import { executablePath } from '../support/executable.ts';

// The scenarios of test/conformance once more, each against a process of its own. They wait more
// than they work, so several run at a time.

async function runOverExecutable({ needs, version, run }: Scenario): Promise<void> {
  const transport = await ExecutableTransport.start(needs);
  try {
    await run(new World(transport, version));
  } finally {
    await transport.stop();
  }
}

beforeAll(() => {
  executablePath();
});

describe.concurrent.each(Object.entries(SCENARIOS))(
  '%s over the executable',
  (_chapter, scenarios) => {
    for (const scenario of scenarios.filter(({ needs }) => needs.world !== 'disk')) {
      test(nameOf(scenario), () => runOrFailAsKnown(scenario, runOverExecutable));
    }
  },
);
