// What the two proxies that are our own programs are told on their command line.

export type ProxyArguments = {
  port: number
  origins: number[]
  /** Path of the file; null: no access log. */
  accessLog: string | null
}

/** The only word is JSON, written by proxies.ts. */
export function proxyArguments(): ProxyArguments {
  return JSON.parse(process.argv[2] ?? '{}') as ProxyArguments
}
