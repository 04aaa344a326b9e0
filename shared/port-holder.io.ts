// Says which process listens on a TCP port, from /proc: for the message that a port is taken.

import { readdir, readFile, readlink } from 'node:fs/promises'
import { messageOf, TucanoError } from './errors.ts'

const LISTEN = '0A'
const PIDS_MAX = 10_000

/** `process 4711 (nginx)`; undefined: nobody this user may see. */
export async function portHolder(port: number): Promise<string | undefined> {
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const inode of await listeners(table, port)) inodes.add(inode)
  }
  if (inodes.size === 0) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).slice(0, PIDS_MAX)
  for (const pid of pids) {
    if (await holds(pid, inodes)) {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')
      return `process ${pid} (${name.trim()})`
    }
  }
  return undefined
}

/** The error of a listener that could not bind, with who is in its way. */
export async function portTaken(
  key: string,
  { host, port }: { host: string; port: number },
  cause: unknown,
): Promise<unknown> {
  if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
    const words = `${key}: cannot listen on ${host}:${port}: ${messageOf(cause)}`
    return new TucanoError('port_taken', words, { cause })
  }
  const holder = (await portHolder(port)) ?? 'another program'
  const words = `${key}: port ${port} on ${host} is in use by ${holder}; stop it or change ${key}`
  return new TucanoError('port_taken', words, { cause })
}

async function listeners(table: string, port: number): Promise<string[]> {
  const text = await readFile(table, 'utf8').catch(() => '')
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return text.split('\n').flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    const isIt = local?.endsWith(`:${hex}`) && state === LISTEN
    return isIt && inode !== undefined ? [inode] : []
  })
}

async function holds(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  // Another user's process cannot be looked into, and one may end meanwhile.
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  for (const fd of fds) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}
