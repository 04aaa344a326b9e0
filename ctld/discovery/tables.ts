// Tables of records that remember what changed since the last commit, and can go back to a
// savepoint: a request whose commit failed must leave no trace. Records are never mutated, they
// are replaced; so what a reader holds stays as it was.

export type Table<T> = {
  get(id: string): T | undefined
  /** Records in the order of their ids' arrival. */
  values(): T[]
  readonly size: number
  /** Grows with each change. */
  version(): number
  put(id: string, record: T): void
  remove(id: string): void
  /** What changed since the last `committed`. */
  changes(): { put: T[]; remove: string[] }
}

export type Tables<Records extends Record<string, unknown>> = {
  readonly [Name in keyof Records]: Table<Records[Name]>
} & {
  isDirty(): boolean
  /** From here on every change can be undone. */
  savepoint(): void
  undo(): void
  committed(): void
  /** The same records in tables of their own, with nothing changed yet. */
  copy(): Tables<Records>
}

export function createTables<Records extends Record<string, unknown>>(
  names: readonly (keyof Records & string)[],
): Tables<Records> {
  type Entry = { table: string; id: string; before: unknown }
  let journal: Entry[] = []
  const rows = new Map<string, Map<string, unknown>>()
  const dirty = new Map<string, Set<string>>()
  const versions = new Map<string, number>()

  function put(table: string, id: string, record: unknown): void {
    const map = rows.get(table)
    if (map === undefined) return
    journal.push({ table, id, before: map.get(id) })
    dirty.get(table)?.add(id)
    versions.set(table, (versions.get(table) ?? 0) + 1)
    if (record === undefined) map.delete(id)
    else map.set(id, record)
  }

  function tableOf(name: string): Table<unknown> {
    const map = new Map<string, unknown>()
    const changed = new Set<string>()
    rows.set(name, map)
    dirty.set(name, changed)
    return {
      get: (id) => map.get(id),
      values: () => [...map.values()],
      get size() {
        return map.size
      },
      version: () => versions.get(name) ?? 0,
      put(id, record) {
        if (map.get(id) !== record) put(name, id, record)
      },
      remove(id) {
        if (map.has(id)) put(name, id, undefined)
      },
      changes() {
        const ids = [...changed]
        return {
          put: ids.flatMap((id) => (map.has(id) ? [map.get(id)] : [])),
          remove: ids.filter((id) => !map.has(id)),
        }
      },
    }
  }

  const tables = Object.fromEntries(names.map((name) => [name, tableOf(name)]))
  const control = {
    isDirty: () => [...dirty.values()].some((changed) => changed.size > 0),
    savepoint() {
      journal = []
    },
    undo() {
      for (const { table, id, before } of journal.toReversed()) {
        const map = rows.get(table)
        versions.set(table, (versions.get(table) ?? 0) + 1)
        if (before === undefined) map?.delete(id)
        else map?.set(id, before)
      }
      journal = []
    },
    committed() {
      journal = []
      for (const changed of dirty.values()) changed.clear()
    },
    copy() {
      const copied = createTables<Records>(names)
      for (const [name, map] of rows) {
        const table = copied[name as keyof Records] as Table<unknown>
        for (const [id, record] of map) table.put(id, record)
      }
      copied.committed()
      return copied
    },
  }
  return Object.assign(tables, control) as unknown as Tables<Records>
}
