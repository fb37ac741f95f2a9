import { proves, type Scenario, type World } from '../scenario.ts';

/** A client with this filter is sent, of these topics, the first and not the second. */
async function matches(
  world: World,
  filter: string,
  topics: { readonly yes: readonly string[]; readonly no: readonly string[] },
): Promise<void> {
  const { packets } = world;
  const watcher = await world.subscribed('watcher', filter, 0);
  const peer = await world.connected('p');
  for (const topic of [...topics.no, ...topics.yes]) peer.send(packets.publish(topic, 'x'));
  for (const topic of topics.yes) await watcher.expect(packets.publish(topic, 'x'));
  await peer.expectNothing();
  await watcher.expectNothing();
}

export const topic: readonly Scenario[] = [
  ...proves(
    { v4: '4.7.1-2', v5: '4.7.1-1' },
    '# matches its level, all below and the one above',
    async (world) => {
      await matches(world, '#', { yes: ['a', 'a/b', '/', '/a/b/'], no: [] });
      await matches(world, 'a/#', { yes: ['a', 'a/', 'a/b', 'a/b/c'], no: ['b', 'ab', '/a'] });
    },
  ),
  ...proves(
    { v4: ['4.7.1-2', '4.8.0-1'], v5: ['4.7.1-1', '4.13.1-1'] },
    '# in the middle, or beside another character, ends the connection',
    async (world) => {
      for (const filter of ['a#', 'a/#/b', '#/', '##', '#a', 'a/b#']) {
        const peer = await world.connected('a');
        peer.send(world.packets.subscribe(1, [[filter, 0]]));
        await peer.expectClosed(0x8f);
      }
    },
  ),
  ...proves(
    { v4: '4.7.1-3', v5: '4.7.1-2' },
    '+ matches one level, also an empty one, at any place',
    async (world) => {
      await matches(world, '+', { yes: ['a', 'b c'], no: ['/a', 'a/', 'a/b'] });
      await matches(world, '+/+', { yes: ['/a', 'a/', '/', 'a/b'], no: ['a', 'a/b/c'] });
      await matches(world, 'a/+/c', { yes: ['a/b/c', 'a//c'], no: ['a/c', 'a/b/b/c'] });
      await matches(world, '+/b/#', { yes: ['a/b', '/b/c'], no: ['b', 'a/c/b'] });
    },
  ),
  ...proves(
    { v4: ['4.7.1-3', '4.8.0-1'], v5: ['4.7.1-2', '4.13.1-1'] },
    '+ beside another character ends the connection',
    async (world) => {
      for (const filter of ['a+', '+a', 'a/+b', '++', 'a+/b']) {
        const peer = await world.connected('a');
        peer.send(world.packets.subscribe(1, [[filter, 0]]));
        await peer.expectClosed(0x8f);
      }
    },
  ),
  ...proves(
    { v4: '4.7.2-1', v5: '4.7.2-1' },
    'a filter that begins with a wildcard does not match a topic that begins with $',
    async (world) => {
      await matches(world, '#', { yes: ['a'], no: ['$a', '$a/b', '$'] });
      await matches(world, '+/b', { yes: ['a/b'], no: ['$a/b'] });
      await matches(world, '$a/#', { yes: ['$a', '$a/b'], no: ['a/b'] });
      await matches(world, '$a/+', { yes: ['$a/b'], no: ['$a'] });
      await matches(world, 'a/+', { yes: ['a/$b'], no: [] });
    },
  ),
  ...proves(
    { v4: '4.7.2-1', v5: '4.7.2-1' },
    'a retained message under a topic with $ is not brought by a wildcard',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      peer.send(packets.publish('$a/b', 'x', { retain: true }));
      await peer.expectNothing();
      for (const filter of ['#', '+/b', '+/#']) {
        const watcher = await world.subscribed('watcher', filter, 0);
        await watcher.expectNothing();
      }
      const watcher = await world.subscribed('watcher', '$a/#', 0);
      await watcher.expect(packets.publish('$a/b', 'x', { retain: true }));
    },
  ),
  ...proves(
    { v4: ['4.7.3-1', '4.8.0-1'], v5: ['4.7.3-1', '4.13.1-1'] },
    'an empty filter ends the connection',
    async (world) => {
      for (const bytes of [
        world.packets.subscribe(1, [['', 0]]),
        world.packets.unsubscribe(1, ''),
      ]) {
        const peer = await world.connected('a');
        peer.send(bytes);
        await peer.expectClosed(0x8f);
      }
    },
  ),
  ...proves(
    { v4: '4.7.3-4', v5: '4.7.3-4' },
    'topics are matched character by character: case, spaces, forms of one letter, slashes',
    async (world) => {
      await matches(world, 'Account', { yes: ['Account'], no: ['account', 'ACCOUNT'] });
      await matches(world, 'a b', { yes: ['a b'], no: ['a  b', ' a b', 'a b ', 'a%20b'] });
      // One letter as one character, and as a letter with a combining accent.
      await matches(world, '\u00e9', { yes: ['\u00e9'], no: ['e\u0301'] });
      await matches(world, 'a/b', { yes: ['a/b'], no: ['/a/b', 'a/b/', 'a//b', 'a\\b'] });
      await matches(world, '\u{1f600}/+', { yes: ['\u{1f600}/\u{1f601}'], no: ['\u{1f601}/a'] });
    },
  ),
];
