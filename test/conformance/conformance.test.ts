import { describe, test } from 'vitest';
import { SCENARIOS } from './all-scenarios.ts';
import { runOrFailAsKnown } from './known-gaps.ts';
import { nameOf, type Scenario, World } from './scenario.ts';
import { SimulatedTransport } from './simulated-transport.ts';

async function runSimulated({ needs, version, run }: Scenario): Promise<void> {
  const transport = await SimulatedTransport.start(needs);
  try {
    await run(new World(transport, version));
  } finally {
    await transport.stop();
  }
}

const { webSocket: _overExecutableOnly, ...SIMULATED } = SCENARIOS;

describe.each(Object.entries(SIMULATED))('%s', (_chapter, scenarios) => {
  for (const scenario of scenarios) {
    test(nameOf(scenario), () => runOrFailAsKnown(scenario, runSimulated));
  }
});
