// The order of names and ids: by code unit, which no language of the machine changes, so that a
// plan and an answer are the same everywhere.

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
