/** Whether a message was sent more than once, its first copy may have been let go, and its last come late. */
export type IsRepeated = (device: string, number: number) => boolean;

/**
 * Where messages of the devices arrive: each first arrival must be in order, device by device, but for
 * those that were sent again.
 */
export class Arrivals {
  readonly violations: string[] = [];
  readonly #where: string;
  readonly #isRepeated: IsRepeated;
  readonly #seen = new Map<string, Set<number>>();
  readonly #last = new Map<string, number>();
  repeats = 0;

  constructor(where: string, isRepeated: IsRepeated) {
    this.#where = where;
    this.#isRepeated = isRepeated;
  }

  get count(): number {
    return [...this.#seen.values()].reduce((sum, numbers) => sum + numbers.size, 0);
  }

  /**
   * Takes a payload that begins with a device's name and a number; tells whether it is new. Order is
   * asked for within a lane: to a client, one QoS may overtake another.
   */
  note(payload: string, lane = 0): boolean {
    const { device, number } = parse(payload);
    let numbers = this.#seen.get(device);
    if (numbers === undefined) {
      numbers = new Set();
      this.#seen.set(device, numbers);
    }
    if (numbers.has(number)) {
      this.repeats += 1;
      return false;
    }
    numbers.add(number);
    const last = this.#last.get(`${device} ${lane}`) ?? -1;
    if (number < last && !this.#isRepeated(device, number)) {
      this.violations.push(`${this.#where}: ${device} ${number} comes after ${last}`);
    }
    this.#last.set(`${device} ${lane}`, Math.max(last, number));
    return true;
  }

  has(device: string, number: number): boolean {
    return this.#seen.get(device)?.has(number) === true;
  }

  numbersOf(device: string): ReadonlySet<number> {
    return this.#seen.get(device) ?? new Set();
  }
}

export function parse(payload: string): { readonly device: string; readonly number: number } {
  const [device = '', number = ''] = payload.split(' ');
  return { device, number: Number(number) };
}
