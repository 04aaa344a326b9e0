// Decides which archives are safe to unpack. One entry's header goes in at a time; whatever is
// not plainly harmless is refused, never skipped, with the entry's name and the reason. Pure but
// for `seen`, which remembers the entries vetted so far; nothing is read or written here.

import { TucanoError } from './errors.ts'

export const MEBIBYTE = 1024 * 1024
/** A packed image, as it is sent and stored. */
export const IMAGE_BYTES_MAX = 256 * MEBIBYTE
export const ENTRIES_MAX = 20_000
export const UNPACKED_BYTES_MAX = 512 * MEBIBYTE
/** Headers, padding and pax records come on top of the files' own bytes. */
export const INFLATED_BYTES_MAX = UNPACKED_BYTES_MAX + 64 * MEBIBYTE
export const RATIO_MAX = 200
/** Below this an archive can do no harm, and a few empty lines pack better than 1 : 200. */
export const RATIO_FLOOR_BYTES = 16 * MEBIBYTE
export const PATH_BYTES_MAX = 4_096
export const COMPONENT_BYTES_MAX = 255
export const DEPTH_MAX = 256
/** Headers that only describe others (pax, long names); more of them are no image. */
export const META_BYTES_MAX = 64 * 1024

/** The part of a tar header that the rules look at; `type` is the name that npm `tar` gives it. */
export type EntryHeader = {
  path: string
  type: string
  size: number
  mode?: number | undefined
  linkpath?: string | undefined
}

export type EntryKind = 'file' | 'directory' | 'link'

/** `path` is without `./` and trailing slash, empty for the folder itself; `mode` has 9 bits. */
export type VettedEntry = { path: string; kind: EntryKind; mode: number }

/**
 * What was vetted so far. A tree of folded names rather than a map of paths: 20,000 paths of 4 KiB
 * would be 80 MiB of keys, and their parents many times that.
 */
export type Seen = { root: SeenNode; names: number; entries: number; bytes: number }
type SeenNode = { kind: EntryKind; children: Map<string, SeenNode> | undefined }

const kindOfType: Record<string, EntryKind> = {
  File: 'file',
  OldFile: 'file',
  ContiguousFile: 'file',
  Directory: 'directory',
  SymbolicLink: 'link',
}

const wordsOfType: Record<string, string> = {
  Link: 'is a hard link',
  CharacterDevice: 'is a character device',
  BlockDevice: 'is a block device',
  FIFO: 'is a FIFO',
}

export function nothingSeen(): Seen {
  return { root: { kind: 'directory', children: undefined }, names: 0, entries: 0, bytes: 0 }
}

/** Vets a whole archive; throws `image_unsafe` at its first bad entry. */
export function vetArchive(headers: Iterable<EntryHeader>): { entries: number; bytes: number } {
  const seen = nothingSeen()
  for (const header of headers) vetEntry(header, seen)
  return { entries: seen.entries, bytes: seen.bytes }
}

/** Vets the next entry and adds it to `seen`; throws `image_unsafe` with its name and why. */
export function vetEntry(header: EntryHeader, seen: Seen): VettedEntry {
  const kind = Object.hasOwn(kindOfType, header.type) ? kindOfType[header.type] : undefined
  if (kind === undefined) {
    throw unsafe(header.path, wordsOfType[header.type] ?? `is of unknown type ${header.type}`)
  }
  seen.entries += 1
  if (seen.entries > ENTRIES_MAX) throw unsafe(header.path, `is beyond ${ENTRIES_MAX} entries`)
  // Some writers give links and folders a size; only a file has a body.
  if (kind === 'file') seen.bytes += header.size
  if (seen.bytes > UNPACKED_BYTES_MAX) {
    throw unsafe(header.path, `makes more than ${UNPACKED_BYTES_MAX / MEBIBYTE} MiB unpacked`)
  }

  const fault = pathFault(header.path)
  if (fault !== undefined) throw unsafe(header.path, fault)
  const parts = partsOf(header.path)
  if (parts.length === 0 && kind !== 'directory') throw unsafe(header.path, 'has no name')
  if (kind === 'link') vetLink(header.path, parts.length - 1, header.linkpath ?? '')
  claim(header.path, parts, kind, seen)
  return { path: parts.join('/'), kind, mode: safeMode(header.mode, kind) }
}

/** Refuses what inflates to far more than was sent: the packed size is that of the whole file. */
export function vetInflation(packedBytes: number, inflatedBytes: number): void {
  if (inflatedBytes > INFLATED_BYTES_MAX) {
    throw new TucanoError(
      'image_unsafe',
      `the archive unpacks to more than ${UNPACKED_BYTES_MAX / MEBIBYTE} MiB`,
    )
  }
  if (inflatedBytes > RATIO_FLOOR_BYTES && inflatedBytes > packedBytes * RATIO_MAX) {
    throw new TucanoError(
      'image_unsafe',
      `the archive unpacks to more than ${RATIO_MAX} times its size`,
    )
  }
}

/** Without setuid, setgid and sticky; the owner can always read, and enter folders. */
export function safeMode(mode: number | undefined, kind: EntryKind): number {
  if (kind === 'directory') return ((mode ?? 0o755) & 0o777) | 0o700
  return ((mode ?? 0o644) & 0o777) | 0o600
}

export function unsafe(entry: string, reason: string): TucanoError {
  return new TucanoError('image_unsafe', `${printable(entry)}: ${reason}`, {
    problems: [{ where: printable(entry), what: reason }],
  })
}

function pathFault(path: string): string | undefined {
  if (path.startsWith('/')) return 'is an absolute path'
  // npm `tar` takes a leading drive letter off on every system, so the name would change.
  if (/^[a-z]:/i.test(path)) return 'begins with a drive letter'
  if (path.includes('\\')) return 'has a backslash in its path'
  if (hasControl(path)) return 'has a control character in its path'
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return `is longer than ${PATH_BYTES_MAX} bytes`
  const parts = partsOf(path)
  if (parts.includes('..')) return "has '..' in its path"
  if (parts.length > DEPTH_MAX) return `is deeper than ${DEPTH_MAX} folders`
  if (parts.some((part) => Buffer.byteLength(part) > COMPONENT_BYTES_MAX)) {
    return `has a name longer than ${COMPONENT_BYTES_MAX} bytes`
  }
  return undefined
}

/**
 * A target may climb only at its beginning. `deep/link/..` could leave the folder although it
 * reads as if it did not, because the system follows `deep/link` first; and no entry's own parent
 * is a link (see `claim`), so climbing at the beginning goes exactly where it says.
 */
function vetLink(path: string, depth: number, target: string): void {
  const refuse = (reason: string) => unsafe(path, `is a link to ${printable(target)}, ${reason}`)
  if (target === '') throw unsafe(path, 'is a link to nothing')
  if (target.startsWith('/') || /^[a-z]:/i.test(target)) throw refuse('an absolute path')
  if (target.includes('\\') || hasControl(target)) throw refuse('which has a forbidden character')
  if (Buffer.byteLength(target) > PATH_BYTES_MAX) throw unsafe(path, 'is a link that is too long')
  const parts = partsOf(target)
  const climbs = parts.findIndex((part) => part !== '..')
  const descent = climbs === -1 ? [] : parts.slice(climbs)
  if (parts.length - descent.length > depth) throw refuse('outside the folder')
  if (descent.includes('..')) throw refuse("which has '..' after a name")
}

/** Each path once, and nothing below a file or a link: so no entry is written through a link. */
function claim(path: string, parts: readonly string[], kind: EntryKind, seen: Seen): void {
  let parent = seen.root
  for (const [at, part] of parts.entries()) {
    if (parent.kind === 'link') throw unsafe(path, 'would be written through a link')
    if (parent.kind === 'file') throw unsafe(path, 'lies below a file')
    const isLast = at === parts.length - 1
    const wanted = isLast ? kind : 'directory'
    parent.children ??= new Map()
    const name = folded(part)
    const known = parent.children.get(name)
    if (known === undefined) {
      seen.names += 1
      // Folders that are only implied count too, or a few entries could imply millions.
      if (seen.names > ENTRIES_MAX) throw unsafe(path, `is beyond ${ENTRIES_MAX} names`)
    } else if (isLast && !(known.kind === 'directory' && kind === 'directory')) {
      const both = `a ${known.kind} and a ${kind}; letter case does not count`
      throw unsafe(path, `is there twice (${both})`)
    }
    const node: SeenNode = known ?? { kind: wanted, children: undefined }
    parent.children.set(name, node)
    parent = node
  }
}

/** Two names that some file system takes for one have one key. */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}

function printable(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}…` : text
  return JSON.stringify(short).replaceAll('\u007f', '\\u007f')
}
