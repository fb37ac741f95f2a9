import { CisternError } from '../../../src/base/errors.ts';
import type {
  LinkListener,
  SendOutcome,
  Sink,
  SinkLink,
  UplinkRecord,
} from '../../../src/uplink/sink.ts';

/** A destination that does what a test tells it, and keeps what arrived. */
export class ScriptedSink implements Sink {
  readonly type = 'scripted';
  readonly prefersBatches: boolean;
  /** Every record that arrived, in order, repeats included. */
  readonly arrived: string[] = [];
  /** Handed over and not settled by `settle` yet. */
  readonly waiting: UplinkRecord[] = [];
  window = 10;
  reachable = true;
  refusal: string | undefined;
  /** Settles each record in the next turn, unless it says undefined. */
  verdict: (record: UplinkRecord) => SendOutcome | undefined = () => ({ kind: 'acknowledged' });
  /** Upstream positions by `stream/partition`. */
  readonly positions = new Map<string, number>();
  attempts = 0;
  links = 0;
  openLinks = 0;
  #listener: LinkListener | undefined;
  #outstanding = 0;

  constructor(prefersBatches = false) {
    this.prefersBatches = prefersBatches;
  }

  async connect(listener: LinkListener): Promise<SinkLink> {
    this.attempts += 1;
    if (this.refusal !== undefined) throw new CisternError('UPSTREAM_REFUSED', this.refusal);
    if (!this.reachable) throw new CisternError('UPSTREAM_UNREACHABLE', 'nobody is there');
    this.links += 1;
    this.openLinks += 1;
    this.waiting.length = 0;
    this.#outstanding = 0;
    this.#listener = listener;
    const room = (): number => Math.max(0, this.window - this.#outstanding);
    return {
      get room() {
        return room();
      },
      send: (records) => this.#take(records, listener),
      resumeFrom: async (stream, partition) => this.positions.get(`${stream}/${partition}`),
      close: async () => {
        this.openLinks -= 1;
        if (this.#listener === listener) this.#listener = undefined;
      },
    };
  }

  /** The link breaks; what was handed over is in doubt. */
  cut(endedByPeer = false): void {
    const error = new CisternError('UPSTREAM_UNREACHABLE', 'the link broke');
    this.#listener?.onClosed(error, endedByPeer);
  }

  settle(record: UplinkRecord, outcome: SendOutcome): void {
    const at = this.waiting.indexOf(record);
    if (at !== -1) this.waiting.splice(at, 1);
    this.#outstanding -= 1;
    this.#listener?.onSettled(record, outcome);
  }

  #take(records: readonly UplinkRecord[], listener: LinkListener): void {
    if (records.length > this.window - this.#outstanding)
      throw new Error('the window was exceeded');
    this.#outstanding += records.length;
    for (const record of records) {
      this.arrived.push(record.origin);
      const outcome = this.verdict(record);
      if (outcome === undefined) this.waiting.push(record);
      else queueMicrotask(() => this.#answer(record, outcome, listener));
    }
  }

  #answer(record: UplinkRecord, outcome: SendOutcome, listener: LinkListener): void {
    if (this.#listener !== listener) return;
    this.#outstanding -= 1;
    listener.onSettled(record, outcome);
  }
}
