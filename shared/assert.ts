// Assertions stay on in production: a broken invariant ends the process before it does harm,
// and its supervisor starts it again from the state on disk.

export function assert(condition: unknown, fact: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${fact}`)
}

/** Ends an exhaustive switch; the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}
