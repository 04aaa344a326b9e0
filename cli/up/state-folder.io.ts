// The folder in which `tucano up` keeps a cluster between two calls. It is known by a marker that
// only `up` writes; a folder without it is not touched, and what `up` did not make is never
// deleted. The lock is the kernel's (a file lock that SQLite takes): it ends with its process.

import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { TucanoError } from '#shared/errors.ts'
import type { Ports } from './up-files.ts'

const MARKER = 'made-by-tucano-up'
const LOCK = 'up.lock'
const STATE = 'up.json'
/** All that `up` and its daemons make beside marker and lock. */
const OWN = [
  STATE,
  'context.json',
  'package.json',
  'topology.yaml',
  'admin-token',
  'agent-token',
  'controller',
  'agents',
  'logs',
]
const MARKER_TEXT = `This folder was made by tucano up and holds the state of a cluster on this machine.
tucano up --fresh forgets that state: it deletes ${OWN.join(', ')} here.
`

export type StateFolder = Disposable & {
  /** Absolute, without links. */
  path: string
  /** It held a cluster before. */
  isOld: boolean
  readPorts(): Promise<Ports | undefined>
  savePorts(ports: Ports): Promise<void>
  write(name: string, text: string): Promise<void>
}

/** Throws `invalid_config` for a folder of someone else, `already_running` for a second `up`. */
export async function openStateFolder(
  wanted: string,
  options: {
    fresh: boolean
    /** Daemons that still use the state are stopped before it is deleted. */
    beforeForgetting: (path: string) => Promise<void>
  },
): Promise<StateFolder> {
  const path = await prepare(resolve(wanted))
  const lock = takeLock(path)
  try {
    if (options.fresh) {
      await options.beforeForgetting(path)
      await forget(path)
    }
    const names = await readdir(path)
    await writeFile(join(path, '.gitignore'), '*\n')
    // The package of this repository, when it stands above, is none of the services' own: its
    // module type would be theirs.
    await writeFile(join(path, 'package.json'), '{}\n')
    return {
      path,
      isOld: names.includes(STATE),
      readPorts: async () => portsOf(await readFile(join(path, STATE), 'utf8').catch(() => '')),
      savePorts: (ports) => replace(join(path, STATE), `${JSON.stringify({ ports })}\n`),
      write: (name, text) => replace(join(path, name), text),
      [Symbol.dispose]: () => lock.close(),
    }
  } catch (error) {
    lock.close()
    throw error
  }
}

async function prepare(path: string): Promise<string> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const real = await realpath(path)
  const names = await readdir(real)
  if (names.includes(MARKER)) return real
  if (names.length > 0) {
    throw new TucanoError(
      'invalid_config',
      `${real} is not empty and was not made by tucano up: choose another folder with --state`,
    )
  }
  await writeFile(join(real, MARKER), MARKER_TEXT)
  await chmod(real, 0o700)
  return real
}

function takeLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(join(path, LOCK), { timeout: 0 })
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock.close()
    if ((cause as { errcode?: number }).errcode !== 5) throw cause
    throw new TucanoError(
      'data_locked',
      `another tucano up is running in ${path}: use that one, or give this one a folder of its ` +
        'own with --state',
    )
  }
}

/** Folders of unpacked images may be read-only. */
async function forget(path: string): Promise<void> {
  for (const name of OWN) {
    const own = join(path, name)
    await makeWritable(own)
    await rm(own, { recursive: true, force: true })
  }
}

async function makeWritable(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined) // It is gone meanwhile.
  if (found?.isDirectory() !== true) return
  await chmod(path, 0o700)
  for (const name of await readdir(path)) await makeWritable(join(path, name))
}

async function replace(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** undefined: there is none, or it is damaged, and others are chosen. */
function portsOf(text: string): Ports | undefined {
  try {
    const { ports } = JSON.parse(text) as { ports: Ports }
    const all = [ports.api, ports.balancer, ...ports.agents]
    return all.every((port) => Number.isInteger(port)) ? ports : undefined
  } catch {
    return undefined
  }
}
