/** A defect put into the sources on purpose, which the power-loss suites must notice. */
export interface Mutant {
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Exact text that occurs once in the file; a mutant that no longer fits is an error. */
  readonly find: string;
  readonly replace: string;
  /** Name filter of the test files that must fail. */
  readonly suite: string;
}

export const RING_SUITE = 'test/power-loss/ring.';
/** Which seed of the lives would show these changes with the code. */
export const BASE_SUITE = 'test/unit/ring/base-segment.';
export const LIVES_SUITE = 'test/power-loss/lives.';
export const CARRY_SUITE = 'test/power-loss/carry.';
const ROWS_SUITE = 'test/power-loss/rows.';
export const BROKER_SUITE = 'test/power-loss/broker.';

const SIZES_SUITE = 'test/power-loss/ring.sizes.';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a ring that shrinks moves segments to slots that its newest header calls live',
    file: 'src/ring/shrinker.ts',
    find: 'const [target] = this.#safe;',
    replace: 'const [target] = slots.stayingFree;',
    suite: SIZES_SUITE,
  },
  {
    name: 'a segment that was moved is looked for where an older header says',
    file: 'src/ring/recovery.ts',
    find: '      if (moved !== undefined) {\n',
    replace: '      if (moved === undefined) {\n',
    suite: SIZES_SUITE,
  },
  {
    name: 'the CRC of a batch header is not checked',
    file: 'src/ring/batch-header.ts',
    find: '  if (crc32(bytes.subarray(at + 8, at + headerLength), seed) !== headerCrc) return undefined;\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'the CRC of a batch body is not checked',
    file: 'src/ring/batch-header.ts',
    find: 'return bodyCrc === header.bodyCrc;',
    replace: 'return bodyCrc === header.bodyCrc || true;',
    suite: RING_SUITE,
  },
  {
    name: 'the CRC of a segment header is not checked',
    file: 'src/ring/segment-header.ts',
    find: "  if (crc !== view.getUint32(4, true)) return { kind: 'invalid' };\n",
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a commit is written and not synced',
    file: 'src/ring/slot-files.ts',
    find: 'await writer.writeDurable(offset, data);',
    replace: 'await writer.write(offset, data);',
    suite: RING_SUITE,
  },
  {
    name: 'who waits is told before the sync has returned',
    file: 'src/ring/commit.ts',
    find: '      await this.#state.files.writeDurable(active.segment.slot, offset, writer.sealed);',
    replace: `      for (const waiter of writer.waiters.splice(0)) {
        waiter.onDurable(header.firstSequence + header.freshCount - 1);
      }
      await this.#state.files.writeDurable(active.segment.slot, offset, writer.sealed);`,
    suite: RING_SUITE,
  },
  {
    name: 'a slot is freed before the checkpoint is flushed',
    file: 'src/ring/recycler.ts',
    find: 'await evacuator.checkpoint(segment.lastSequence);',
    replace: 'void evacuator.checkpoint(segment.lastSequence);',
    suite: RING_SUITE,
  },
  {
    name: 'tail offsets come from records alone',
    file: 'src/ring/recovery.ts',
    find: '      this.#raiseTail(partition.id, partition.tailOffset);\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a damaged first page is not scanned behind, nor the next slot',
    file: 'src/ring/recovery.ts',
    find: 'await this.#scanFor([...damagedSlots, ...named], headers);',
    replace: 'await this.#scanFor([], headers);',
    suite: RING_SUITE,
  },
  {
    name: 'recovery does not write the last batch again',
    file: 'src/ring/open.ts',
    find: 'whole ? batches : batches.slice(-1)',
    replace: 'whole ? batches : []',
    suite: RING_SUITE,
  },
  {
    name: 'copies that lost their header count as the newest segment',
    file: 'src/ring/recovery.ts',
    find: 'const counts = (header.flags & BATCH_PROVISIONAL) === 0 || epoch === tabledEpoch;',
    replace: 'const counts = true;',
    suite: ROWS_SUITE,
  },
  {
    name: 'a segment is let go without a word to the next start',
    file: 'src/ring/appender.ts',
    find: 'if (active === undefined || active.slotsInHand >= SLOTS_FOR_START) return;',
    replace: 'if (active === undefined || active.slotsInHand >= 0) return;',
    suite: ROWS_SUITE,
  },
  {
    name: 'fresh records are taken into the last slot',
    file: 'src/ring/appender.ts',
    find: '    return this.#active?.slotsInHand === 0;',
    replace: '    return false;',
    suite: ROWS_SUITE,
  },
  {
    name: 'a segment counts that holds copies alone',
    file: 'src/ring/base-segment.ts',
    find: '  return sound.every(({ header }) => (header.flags & BATCH_PROVISIONAL) !== 0);',
    replace: '  return false;',
    suite: ROWS_SUITE,
  },
  {
    name: 'a start forgets which segments are newer than the one it goes on from',
    file: 'src/ring/base-segment.ts',
    find: 'epoch > baseEpoch && slot !== baseSlot',
    replace: 'epoch > baseEpoch && slot < 0',
    suite: BASE_SUITE,
  },
  {
    name: 'two copies of one record are both read',
    file: 'src/ring/reader.ts',
    find: 'byOffset.set(record.offset, record);',
    replace: 'byOffset.set(byOffset.size, record);',
    suite: RING_SUITE,
  },
  {
    name: 'a bad survivor is given a fresh CRC',
    file: 'src/ring/reader.ts',
    find: '    if (!bodyIsSound(bytes, bodyAt, header, crc32, seed)) return undefined;\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a retired slot is used again',
    file: 'src/ring/slots.ts',
    find: '    if (this.#retired.has(slot)) return;\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a start forgets which slots are retired',
    file: 'src/ring/open.ts',
    find: 'new Slots(slotCount, known.retiredSlots, wantedSlots)',
    replace: 'new Slots(slotCount, [], wantedSlots)',
    suite: RING_SUITE,
  },
  {
    name: 'a survivor is not carried',
    file: 'src/ring/recycler.ts',
    find: "return evacuator.decide(record) === 'carry';",
    replace: "return evacuator.decide(record) === 'carry' && false;",
    suite: RING_SUITE,
  },
  {
    name: 'tails do not jump where the last records may be lost',
    file: 'src/ring/recovery.ts',
    find: '    if (tailUncertain) this.#jumpTails();\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a start does not sync what it goes on from',
    file: 'src/ring/base-segment.ts',
    find: '  if (base !== undefined) await access.sync(base.candidate.slot);\n',
    replace: '',
    suite: RING_SUITE,
  },
  {
    name: 'a start writes over segments that it has passed over',
    file: 'src/ring/open.ts',
    find: 'const used = new Set([...known.segments.map(({ slot }) => slot), ...known.passedOver]);',
    replace: 'const used = new Set(known.segments.map(({ slot }) => slot));',
    suite: LIVES_SUITE,
  },
  {
    name: 'a start writes over the segment that it copies',
    file: 'src/ring/open.ts',
    find: '    if (isShort) slots.free(old.slot);\n',
    replace: '    slots.free(old.slot);\n    slots.prefer(old.slot);\n',
    suite: RING_SUITE,
  },
  {
    name: 'a segment is opened though the next start would have no slot',
    file: 'src/ring/segment-opener.ts',
    find: 'export const SLOTS_TO_OPEN = SLOTS_FOR_START + 1;',
    replace: 'export const SLOTS_TO_OPEN = SLOTS_FOR_START - 1;',
    suite: RING_SUITE,
  },
  {
    name: 'an empty segment counts as the newest',
    file: 'src/ring/base-segment.ts',
    find: 'if (found.walk.batches.some(({ sound }) => sound)) return found;',
    replace: 'return found;',
    suite: RING_SUITE,
  },
  {
    name: 'PUBACK leaves before the commit',
    file: 'src/broker/handle-publish.ts',
    find: 'connection.acknowledge(PacketType.puback, packetId, this.#gateOf(publication));',
    replace: 'connection.acknowledge(PacketType.puback, packetId, 0);',
    suite: BROKER_SUITE,
  },
  {
    name: 'a copy keeps its receipt',
    file: 'src/ring/recycler.ts',
    find: 'const COPIED_FLAGS = RECORD_FLAGS_MASK & ~RecordFlag.receipt;',
    replace: 'const COPIED_FLAGS = RECORD_FLAGS_MASK | RecordFlag.receipt;',
    suite: BROKER_SUITE,
  },
  {
    name: 'a record within its quota is not carried',
    file: 'src/ring/recycler.ts',
    find: 'if (evacuator.keeps(record)) return !copies.has(partition.id, record.offset);',
    replace: 'if (evacuator.keeps(record)) return false;',
    suite: CARRY_SUITE,
  },
  {
    name: 'PUBREC leaves before the commit',
    file: 'src/broker/handle-publish.ts',
    find: '    connection.acknowledge(PacketType.pubrec, packetId, gate);',
    replace: '    connection.acknowledge(PacketType.pubrec, packetId, 0);',
    suite: BROKER_SUITE,
  },
  {
    name: 'PUBCOMP leaves before the commit',
    file: 'src/broker/handle-publish.ts',
    find: 'connection.acknowledge(PacketType.pubcomp, packetId, gate);',
    replace: 'connection.acknowledge(PacketType.pubcomp, packetId, 0);',
    suite: BROKER_SUITE,
  },
  {
    name: 'our PUBREL leaves before the commit',
    file: 'src/broker/client-session.ts',
    find: 'link.afterDurable(entry.releasedAt, () => link.sendPubrel(packetId));',
    replace: 'link.sendPubrel(packetId);',
    suite: BROKER_SUITE,
  },
  {
    name: 'a QoS 2 PUBLISH leaves before its packet identifier is durable',
    file: 'src/broker/client-session.ts',
    find: 'link.afterDurable(durableAt, () => {',
    replace: 'link.afterDurable(0, () => {',
    suite: BROKER_SUITE,
  },
  {
    name: 'SUBACK of a durable session leaves before the commit',
    file: 'src/broker/handle-subscribe.ts',
    find: 'const gate = session.durable && isGranted ? context.lastSequence() : 0;',
    replace: 'const gate = 0;',
    suite: BROKER_SUITE,
  },
];
