// The controller's API as the commands see it; client.io.ts speaks it over HTTP.

export type Progress = (sentBytes: number, allBytes: number) => void

export type Client = {
  readonly url: string
  /** The answer's JSON. Rejects with the TucanoError that a refusal stands for. */
  get<T>(path: string, options?: { timeoutMs?: number }): Promise<T>
  send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T>
  exists(path: string): Promise<boolean>
  upload<T>(path: string, file: string, onProgress: Progress): Promise<T>
  /** Lines of a text as they arrive; ends when the answer does or the signal aborts. */
  lines(path: string, signal: AbortSignal): AsyncIterable<string>
}

/** `undefined` instead of a `not_found`. */
export async function orUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'not_found') return undefined
    throw error
  }
}
