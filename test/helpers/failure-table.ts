// The table of a test file: case, requests, failures by kind and what the client saw, printed when
// the file is through.

export type FailureTable = {
  add(name: string, saw: Readonly<Record<string, number>>, words: string): void
  print(): void
}

export function createFailureTable(title: string): FailureTable {
  const rows: string[][] = [['case', 'requests', 'failed', 'what the client saw']]
  return {
    add(name, saw, words) {
      const failed = Object.entries(saw).filter(([kind]) => kind !== '200')
      const requests = Object.values(saw).reduce((sum, count) => sum + count, 0)
      const kinds = failed.map(([kind, count]) => `${count} × ${kind}`).join(', ')
      rows.push([name, String(requests), kinds || '0', words])
    },
    print() {
      const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)))
      const lines = rows.map((row) =>
        row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '),
      )
      console.log(`\n${title}\n${lines.join('\n')}\n`)
    },
  }
}
