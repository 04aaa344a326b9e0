// Records are replaced, never changed: a list of the very same ones says that nothing happened.

export function isSameList<T>(before: readonly T[], after: readonly T[]): boolean {
  return before.length === after.length && before.every((item, index) => item === after[index])
}
