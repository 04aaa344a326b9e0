// Lays out tables of plain aligned columns that fit the width. Pure.

export type Tone = 'good' | 'warn' | 'bad' | 'dim'
export type Cell = string | { text: string; tone?: Tone | undefined }
export type Column = {
  title: string
  align?: 'right'
  /** The column may be cut down to this many characters when the table is too wide. */
  least?: number
  /** What does not fit goes on in the next line. */
  wraps?: boolean
}
export type Paint = (tone: Tone, text: string) => string

const GAP = 2

/** Lines of the table, the head first, without blanks at their ends. */
export function layTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: { width: number; paint: Paint },
): string[] {
  const texts = rows.map((row) => columns.map((_, at) => textOf(row[at] ?? '')))
  const widths = fitWidths(columns, texts, options.width)
  const head = columns.map(({ title }, at) => place(title, widths[at] ?? 0, columns[at]))
  const body = texts.flatMap((row, line) => {
    const cells = row.map((text, at) => piecesOf(text, widths[at] ?? 0, columns[at]))
    const height = Math.max(1, ...cells.map((pieces) => pieces.length))
    return Array.from({ length: height }, (_, part) =>
      cells.map((pieces, at) => {
        const placed = place(pieces[part] ?? '', widths[at] ?? 0, columns[at])
        const cell = rows[line]?.[at]
        const tone = typeof cell === 'object' ? cell.tone : undefined
        return tone === undefined
          ? placed
          : placed.replace(/\S(.*\S)?/, (word) => options.paint(tone, word))
      }),
    )
  })
  return [head, ...body].map((cells) => cells.join(' '.repeat(GAP)).trimEnd())
}

/** Control characters could move the cursor or forge a line. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim()
}

/** A line of a program's output: its indentation stays. */
export function plainLine(text: string): string {
  return text
    .replaceAll('\t', '  ')
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trimEnd()
}

function textOf(cell: Cell): string {
  return plain(typeof cell === 'string' ? cell : cell.text) || '-'
}

/** The widest columns that may shrink give way first. */
function fitWidths(
  columns: readonly Column[],
  texts: readonly (readonly string[])[],
  width: number,
): number[] {
  const widths = columns.map(({ title }, at) =>
    Math.max(length(title), ...texts.map((row) => length(row[at] ?? ''))),
  )
  const total = () => widths.reduce((sum, one) => sum + one, 0) + GAP * (columns.length - 1)
  while (total() > width) {
    const widest = columns
      .map(({ least }, at) => ({ at, width: widths[at] ?? 0, least: least ?? Infinity }))
      .filter((column) => column.width > column.least)
      .sort((a, b) => b.width - a.width)[0]
    if (widest === undefined) break
    widths[widest.at] = widest.width - 1
  }
  return widths
}

/** The text, or where its column wraps the lines of it, broken at blanks. */
function piecesOf(text: string, width: number, column: Column | undefined): string[] {
  if (column?.wraps !== true || length(text) <= width) return [text]
  const pieces: string[] = []
  for (const word of text.split(' ')) {
    const last = pieces.at(-1)
    const longer = last === undefined ? word : `${last} ${word}`
    if (last === undefined || length(longer) > width) pieces.push(word)
    else pieces[pieces.length - 1] = longer
  }
  return pieces
}

function place(text: string, width: number, column: Column | undefined): string {
  const cut =
    length(text) > width ? `${[...text].slice(0, Math.max(0, width - 1)).join('')}…` : text
  const blanks = ' '.repeat(Math.max(0, width - length(cut)))
  return column?.align === 'right' ? blanks + cut : cut + blanks
}

function length(text: string): number {
  return [...text].length
}
