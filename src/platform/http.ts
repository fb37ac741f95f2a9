export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The header, where there is one. */
  readonly authorization: string | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpListener {
  /** `host:port`, with the port really bound. */
  readonly address: string;
  /** Closes open connections too. */
  close(): Promise<void>;
}

/** A small HTTP/1.1 server. Bodies of requests are never read. */
export interface Http {
  /** Fails with PORT_IN_USE or LISTEN_FAILED. A rejected handler is a programmer error. */
  serve(
    address: string,
    handle: (request: HttpRequest) => Promise<HttpResponse>,
  ): Promise<HttpListener>;
}
