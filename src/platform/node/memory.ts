import type { MemoryUse } from '../memory.ts';

const BYTES_A_KIB = 1024;

export const nodeMemory: MemoryUse = {
  residentBytes: () => process.memoryUsage.rss(),
  // getrusage(2) counts in KiB on Linux.
  residentBytesMax: () => process.resourceUsage().maxRSS * BYTES_A_KIB,
};
