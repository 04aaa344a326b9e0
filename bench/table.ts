// A table as text, as wide as its widest cells; numbers stand to the right.

export type Cell = string | number
export type Row = Record<string, Cell>

/** The columns are the keys of the first row; a cell that a row has not is empty. */
export function tableOf(rows: readonly Row[]): string {
  const columns = Object.keys(rows[0] ?? {})
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => String(row[column] ?? '').length)),
  )
  const isNumeric = columns.map((column) => rows.every((row) => typeof row[column] === 'number'))
  const line = (cells: readonly Cell[]) =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0
        return isNumeric[index] ? String(cell).padStart(width) : String(cell).padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [
    line(columns),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map((row) => line(columns.map((column) => row[column] ?? ''))),
  ].join('\n')
}

/** Three significant digits, or all before the point. */
export function short(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}
