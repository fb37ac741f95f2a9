/** How one load is put on one broker. */
export interface RunOptions {
  readonly port: number;
  readonly brokerPid: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Told of whatever ends a connection that the load did not close. */
  readonly onFailure: (error: Error) => never;
}
