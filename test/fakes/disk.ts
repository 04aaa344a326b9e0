// A disk in memory that forgets like a real one: at a power cut, content that was not synced is
// old, new or torn, and names that were not synced are as before or as after, each by the dice.
// No I/O and no timers of its own: every step waits for `pause`, which the simulator can stretch.

import type { Disk } from '#shared/disk.ts'

export type FakeDisk = {
  /** The disk as one life of a program sees it: after kill or crash its calls never settle. */
  mount(): Disk
  /** kill -9: work under way stops where it is, what was done stays. */
  kill(): void
  /** Power cut. `random` gives numbers in [0, 1). */
  crash(random: () => number): void
  /** While true, writes fail with ENOSPC after leaving half of themselves. */
  setFull(full: boolean): void
  peek(path: string): Uint8Array | undefined
  /** Puts content there behind everybody's back, durably. */
  poke(path: string, bytes: Uint8Array): void
  /** All file names, sorted. */
  paths(): string[]
}

type Content = { bytes: Uint8Array; synced: Uint8Array }

const nothing = new Uint8Array()
export function createFakeDisk({
  pause = () => Promise.resolve(),
}: {
  pause?: () => Promise<void>
} = {}): FakeDisk {
  const names = new Map<string, Content>()
  /** The names that would be there after a power cut, for certain. */
  const platter = new Map<string, Content>()
  let life = 0
  let isFull = false

  function settle(path: string, content: Content | undefined): void {
    for (const side of [names, platter]) {
      if (content === undefined) side.delete(path)
      else side.set(path, content)
    }
  }

  function mount(): Disk {
    const mine = life
    // One step of a call; in a later life it never comes back.
    async function step<T>(act: () => T): Promise<T> {
      await pause()
      // Not one promise for all: it would hold on to every life that ended.
      return life === mine ? act() : new Promise<never>(() => {})
    }

    return {
      read: (path) => step(() => names.get(path)?.bytes.slice()),
      async write(path, bytes) {
        const content = await step(() => {
          const opened = names.get(path) ?? { bytes: nothing, synced: nothing }
          opened.bytes = bytes.slice(0, Math.floor(bytes.length / 2))
          names.set(path, opened)
          return opened
        })
        await step(() => {
          if (isFull) throw failure('ENOSPC', 'no space left on device', path)
          content.bytes = bytes.slice()
        })
        await step(() => {
          content.synced = content.bytes
        })
      },
      link: (from, to) =>
        step(() => {
          const content = names.get(from)
          if (content === undefined) return false
          if (names.has(to)) throw failure('EEXIST', 'file already exists', to)
          names.set(to, content)
          return true
        }),
      rename: (from, to) =>
        step(() => {
          const content = names.get(from)
          if (content === undefined) throw failure('ENOENT', 'no such file', from)
          names.set(to, content)
          names.delete(from)
        }),
      remove: (path) =>
        step(() => {
          names.delete(path)
        }),
      list: (folder) =>
        step(() =>
          [...names.keys()]
            .filter((path) => folderOf(path) === folder)
            .map(nameOf)
            .sort(),
        ),
      makeFolder: () => step(() => {}),
      syncFolder: (folder) =>
        step(() => {
          for (const path of new Set([...names.keys(), ...platter.keys()])) {
            if (folderOf(path) === folder) settle(path, names.get(path))
          }
        }),
    }
  }

  return {
    mount,
    kill() {
      life++
    },
    crash(random) {
      life++
      for (const content of new Set([...names.values(), ...platter.values()])) {
        if (content.bytes !== content.synced) content.synced = tear(content, random)
        content.bytes = content.synced
      }
      // Sorted, so that one seed is one history.
      for (const path of [...new Set([...names.keys(), ...platter.keys()])].sort()) {
        if (names.get(path) === platter.get(path)) continue
        settle(path, random() < 0.5 ? names.get(path) : platter.get(path))
      }
    },
    setFull(full) {
      isFull = full
    },
    peek: (path) => names.get(path)?.bytes.slice(),
    poke(path, bytes) {
      settle(path, { bytes, synced: bytes })
    },
    paths: () => [...names.keys()].sort(),
  }
}

// What was not synced is old, new, cut short, or long enough with zeros at its end.
function tear({ bytes, synced }: Content, random: () => number): Uint8Array {
  const fate = Math.floor(random() * 4)
  if (fate === 0) return synced
  if (fate === 1) return bytes
  const kept = bytes.slice(0, Math.floor(random() * bytes.length))
  if (fate === 2) return kept
  const padded = new Uint8Array(bytes.length)
  padded.set(kept)
  return padded
}

function failure(code: string, text: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${text}, '${path}'`), { code })
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
