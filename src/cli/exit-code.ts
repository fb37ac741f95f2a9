import type { ErrorCode } from '../base/errors.ts';

/** What a script may rely on. */
export const ExitCode = {
  ok: 0,
  /** Something that happens in the field: a port that is taken, a broker that does not answer. */
  operating: 1,
  /** The command line was not understood. */
  usage: 2,
  /** The configuration has errors. */
  configuration: 3,
  /** The data directory is in use, cannot be used, or has damage (`log verify` and `log dump`). */
  data: 4,
  /** `sub -W`: the time is over. The number is that of `mosquitto_sub`. */
  timeout: 27,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export function exitCodeOf(code: ErrorCode): ExitCode {
  switch (code) {
    case 'USAGE':
      return ExitCode.usage;
    case 'CONFIG_INVALID':
    case 'CONFIG_NOT_FOUND':
      return ExitCode.configuration;
    case 'DATA_IN_USE':
    case 'DATA_UNWRITABLE':
    case 'DATA_UNSUITABLE':
    case 'DEVICE_FULL':
    case 'DEVICE_FAILED':
    case 'RING_DAMAGED':
    case 'RING_FORMAT_UNKNOWN':
    case 'METADATA_DAMAGED':
      return ExitCode.data;
    default:
      return ExitCode.operating;
  }
}
