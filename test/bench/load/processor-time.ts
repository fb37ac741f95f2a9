import { readFileSync } from 'node:fs';

/** `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Node runs on. */
const TICKS_A_SECOND = 100;

/** Processor seconds a second of the measured time. */
export interface ProcessorUse {
  readonly brokerCpu: number;
  readonly loadCpu: number;
  /** What everything else on the machine took; a result is worth little where this is large. */
  readonly othersCpu: number;
}

interface Reading {
  readonly at: bigint;
  readonly broker: number;
  readonly own: number;
  readonly machine: number;
}

/** Measures from when it is made. */
export class ProcessorMeter {
  readonly #brokerPid: number;
  readonly #start: Reading;

  constructor(brokerPid: number) {
    this.#brokerPid = brokerPid;
    this.#start = read(brokerPid);
  }

  /** Of the time since it was made, with its length and, in ns of the monotonic clock, its ends. */
  stop(): { seconds: number; fromNs: number; toNs: number; use: ProcessorUse } {
    const end = read(this.#brokerPid);
    const seconds = Number(end.at - this.#start.at) / 1e9;
    const brokerCpu = (end.broker - this.#start.broker) / seconds;
    const loadCpu = (end.own - this.#start.own) / seconds;
    const machineCpu = (end.machine - this.#start.machine) / seconds;
    const othersCpu = Math.max(0, machineCpu - brokerCpu - loadCpu);
    return {
      seconds,
      fromNs: Number(this.#start.at),
      toNs: Number(end.at),
      use: { brokerCpu, loadCpu, othersCpu },
    };
  }
}

function read(brokerPid: number): Reading {
  return {
    at: process.hrtime.bigint(),
    broker: cpuSecondsOf(brokerPid),
    own: ownCpuSeconds(),
    machine: machineCpuSeconds(),
  };
}

/** User and system time of all threads so far, in seconds (proc(5), fields 14 and 15). */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses, and may hold blanks itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Of all processes and all cores so far, idle and waiting for the disk left out (proc(5), stat). */
function machineCpuSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [user, nice, system, , , irq, softirq] = line.trim().split(/\s+/).slice(1).map(Number);
  const ticks = [user, nice, system, irq, softirq].map((value) => value ?? 0);
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_A_SECOND;
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
