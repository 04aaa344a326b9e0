// Reads YAML that nobody vouches for. Pure and synchronous, so it can run inside a worker with a
// deadline (parse-yaml-safely.io.ts). Refused: more than DOCUMENT_BYTES_MAX, aliases, warnings
// such as unknown tags, several documents, duplicate or dangerous keys, nesting over DEPTH_MAX.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
} from 'yaml'
import {
  DEPTH_MAX,
  DOCUMENT_BYTES_MAX,
  invalid,
  isDangerousKey,
  type Path,
  type Position,
  PROBLEMS_MAX,
  pointer,
  quote,
  type SourceDocument,
  whereIs,
} from './document.ts'
import type { Problem } from './errors.ts'

type Reading = {
  file: string
  lines: LineCounter
  positions: Map<string, Position>
  problems: Problem[]
}

/** The document's data and positions; throws `invalid_config` with every problem found. */
export function readYaml(text: string, file: string): SourceDocument {
  const size = Buffer.byteLength(text)
  if (size > DOCUMENT_BYTES_MAX) throw tooLarge(file, size)

  const lines = new LineCounter()
  const reading: Reading = { file, lines, positions: new Map(), problems: [] }
  const document = parseDocument(text, {
    lineCounter: lines,
    strict: true,
    stringKeys: true,
    schema: 'core',
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: 'error',
    // The library compares every key with every other, which is quadratic; see readMap.
    uniqueKeys: false,
  })
  reportSyntax(document, reading)
  const data = reading.problems.length > 0 ? undefined : readNode(document.contents, [], reading)
  if (reading.problems.length > 0) throw invalid(reading.problems)
  return { file, data, positions: reading.positions }
}

export function tooLarge(file: string, bytes: number) {
  const what = `${bytes} bytes; a configuration has at most ${DOCUMENT_BYTES_MAX}`
  return invalid([{ where: file, what }])
}

function reportSyntax(document: Document.Parsed, reading: Reading): void {
  for (const error of [...document.errors, ...document.warnings].slice(0, PROBLEMS_MAX)) {
    const { line, col } = reading.lines.linePos(error.pos[0])
    const what =
      error.code === 'RESOURCE_EXHAUSTION'
        ? `nested deeper than ${DEPTH_MAX} levels`
        : `not valid YAML: ${error.message}`
    reading.problems.push({ where: `${reading.file}:${line}:${col}`, what })
    // After the stack has run out, each further error is only its echo.
    if (error.code === 'RESOURCE_EXHAUSTION') return
  }
  if (document.directives?.yaml.version !== '1.2') {
    reading.problems.push({ where: `${reading.file}:1:1`, what: 'only YAML 1.2 is read' })
  }
}

function readNode(node: unknown, path: Path, reading: Reading): unknown {
  if (node === null || node === undefined) return null
  if (!reading.positions.has(pointer(path))) mark(node, path, reading)
  if (isScalar(node)) return node.value
  if (isAlias(node))
    return refuse('aliases (*name) are refused: write the value out', path, reading)
  if (path.length >= DEPTH_MAX) {
    return refuse(`nested deeper than ${DEPTH_MAX} levels`, path, reading)
  }
  if (isSeq(node)) return node.items.map((item, index) => readNode(item, [...path, index], reading))
  if (isMap(node)) return readMap(node.items, path, reading)
  return refuse('not a scalar, a list or a mapping', path, reading)
}

function readMap(pairs: readonly Pair[], path: Path, reading: Reading): Record<string, unknown> {
  const data: Record<string, unknown> = {}
  for (const { key, value } of pairs) {
    const name = isScalar(key) ? String(key.value) : ''
    const at = [...path, name]
    if (Object.hasOwn(data, name)) {
      refuse(`the key ${quote(name)} is given twice`, at, reading, key)
    } else if (isDangerousKey(name)) {
      refuse(`the key ${quote(name)} is refused`, at, reading, key)
    } else {
      mark(key, at, reading)
      data[name] = readNode(value, at, reading)
    }
  }
  return data
}

function mark(node: unknown, path: Path, reading: Reading): void {
  const { line, col } = reading.lines.linePos((node as Node | null)?.range?.[0] ?? 0)
  reading.positions.set(pointer(path), { line, column: col })
}

function refuse(what: string, path: Path, reading: Reading, node?: unknown): null {
  if (node !== undefined) mark(node, path, reading)
  if (reading.problems.length < PROBLEMS_MAX) {
    reading.problems.push({ where: whereIs({ ...reading, data: null }, path), what })
  }
  return null
}
