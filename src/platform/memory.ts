/** What this process takes of the machine's memory. */
export interface MemoryUse {
  /** Resident bytes now, the program itself included. */
  residentBytes(): number;
  /** The most there has been. */
  residentBytesMax(): number;
}
