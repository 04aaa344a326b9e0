// Whom programs run as, and what of the machine they see. It takes an agent that is root; any
// other runs its programs as itself, and says so.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { execa } from 'execa'
import { dressed, environmentText, type Owner, type View, visiting } from './dress.ts'

/** The descriptor through which a program gets its environment. */
export const ENVIRONMENT_FD = 3
/** Others may go through it to what is theirs, and see nothing of it. */
const PASSABLE = 0o711
const TRIAL_MS = 10_000

/** `dress`: words that run a command as that process was started; `fd` brings its environment. */
export type Inside = { pid: number; dress(argv: readonly string[], fd: number): string[] }

export type Users = {
  /** Whom programs run as whose service names nobody, and why. */
  name: string
  why: string
  /**
   * Of the user with this name, or the usual one; undefined: it runs as the agent. Rejects where
   * a program would get rights that its service renounced.
   */
  ownerOf(name: string | undefined): Promise<Owner | undefined>
  /** Words that start a program for this owner. `kept`: folders of the agent's that it sees. */
  dress(start: {
    owner: Owner
    kept: readonly string[]
    tmp: string
    argv: readonly string[]
    fd?: number
  }): string[]
  /** The first of these processes that does not run as the agent, and how to join it. */
  find(pids: readonly number[]): Promise<Inside | undefined>
  /** Makes folders passable to programs that are not the agent's own user. */
  openWay(folders: readonly string[]): Promise<void>
  /** Gives a folder with all that is in it to an owner. */
  give(folder: string, owner: Owner): Promise<void>
  /** Makes a folder with all that is in it the agent's own, for everybody to read and run. */
  publish(folder: string): Promise<void>
}

export function noUsers(why: string): Users {
  return {
    name: userInfo().username,
    why: `as the agent itself: ${why}`,
    ownerOf: async () => undefined,
    dress: ({ argv }) => [...argv],
    find: async () => undefined,
    openWay: async () => {},
    give: async () => {},
    publish: async () => {},
  }
}

export async function openUsers(options: {
  dataFolder: string
  secretsFolder: string
  user: string
}): Promise<Users> {
  const { dataFolder, secretsFolder, user } = options
  if (process.getuid?.() !== 0) return noUsers('it is not root')
  const usual = await ownerNamed(user)
  const stage = join(dataFolder, 'stage')
  const hidden = [join(dataFolder, 'instances'), join(dataFolder, 'volumes')]
  for (const folder of [stage, ...hidden]) await mkdir(folder, { recursive: true, mode: 0o700 })
  // The machine's shared memory, in which the secrets may lie, is everybody's.
  const inMemory = secretsFolder.startsWith('/dev/shm/')
  // A view hides it for as long as it is the same folder: with something in it nobody removes it.
  if (!inMemory) await mkdir(join(secretsFolder, 'stays'), { recursive: true, mode: 0o711 })
  const all = [...hidden, '/dev/shm', ...(inMemory ? [] : [secretsFolder])]
  // Whoever keeps the agent's files or Node itself in /tmp wants them to be seen.
  const isTmpOurs = ![dataFolder, process.execPath].some((path) => /^\/(var\/)?tmp\//.test(path))
  const viewOf = (kept: readonly string[], tmp: string): View => ({
    stage,
    tmp: isTmpOurs ? tmp : undefined,
    // What is not there needs neither hiding nor keeping.
    hidden: all.filter((folder) => existsSync(folder)),
    kept: kept.filter((folder) => existsSync(folder)),
  })
  // Without a user nobody is told of it, and few start anything in a view.
  const trouble = usual === undefined ? undefined : await tryView(viewOf([], stage))
  const canSee = trouble === undefined
  await chmod(dataFolder, PASSABLE)
  await openWay(hidden)

  return {
    name: usual === undefined ? userInfo().username : user,
    why: whyOf({ user: usual && user, trouble, isTmpOurs }, options.user),
    async ownerOf(name) {
      if (name === undefined) return usual
      const owner = await ownerNamed(name)
      if (owner === undefined) throw new Error(`there is no user ${name} on this node`)
      if (owner.uid === 0) throw new Error(`user ${name} is root, which no program runs as`)
      return owner
    },
    dress: ({ owner, kept, tmp, argv, fd = ENVIRONMENT_FD }) =>
      dressed({ owner, view: canSee ? viewOf(kept, tmp) : undefined, argv, fd }),
    async find(pids) {
      const all = new Map((await Promise.all(pids.map(subjectOf))).map((one) => [one.pid, one]))
      for (const { pid, owner } of all.values()) {
        const root = owner && rootAbove(pid, all)
        if (owner === undefined || owner.uid === 0 || root === undefined) continue
        return { pid, dress: (argv, fd) => visiting({ owner, argv, fd, pid: root }) }
      }
      return undefined
    },
    openWay,
    give,
    async publish(folder) {
      await give(folder, { uid: 0, gid: 0 })
      // Whoever built it must not lend out the rights of whom it belongs to now.
      await execa('/bin/chmod', ['-R', 'u+rwX,go+rX,go-w,ug-s', '--', folder])
    },
  }
}

function whyOf(
  {
    user,
    trouble,
    isTmpOurs,
  }: { user: string | undefined; trouble: string | undefined; isTmpOurs: boolean },
  wanted: string,
): string {
  if (user === undefined) return `as the agent itself, which is root: there is no user ${wanted}`
  if (trouble !== undefined) return `without rights, but with everything in view: ${trouble}`
  return isTmpOurs
    ? 'without rights, in a view of their own'
    : 'without rights, in a view of their own but for /tmp, where files of the agent lie'
}

/** Whether the kernel lets us; a container may not. Answers what it says when it does not. */
function tryView(view: View): Promise<string | undefined> {
  const nobody = { uid: 65_534, gid: 65_534 }
  const [file = '', ...args] = dressed({ owner: nobody, view, argv: ['true'], fd: ENVIRONMENT_FD })
  const child = spawn(file, args, {
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    timeout: TRIAL_MS,
    killSignal: 'SIGKILL',
  })
  giveEnvironment(child, { PATH: '/usr/bin:/bin' })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(0, 1_000)
  })
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => {
      resolve(code === 0 ? undefined : said.split('\n')[0] || `exit code ${code}`)
    })
  })
}

/** To a process that was started dressed, with a pipe as its ENVIRONMENT_FD or as `fd`. */
export function giveEnvironment(
  child: ChildProcess,
  env: Readonly<Record<string, string>>,
  fd = ENVIRONMENT_FD,
): void {
  const pipe = child.stdio[fd] as Writable | undefined
  // One that ended before it has read it needs it no more.
  pipe?.on('error', () => pipe.destroy())
  pipe?.end(environmentText(env))
}

type Subject = { pid: number; parent: number; owner: Owner | undefined }

/** As the kernel sees it, whatever user it takes itself for; no owner: it has ended meanwhile. */
async function subjectOf(pid: number): Promise<Subject> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const found = /^PPid:\t(\d+)$[\s\S]*^Uid:\t(\d+)\t[\s\S]*^Gid:\t(\d+)\t/m.exec(status)
  if (found === null) return { pid, parent: 0, owner: undefined }
  const [, parent, uid, gid] = found
  return { pid, parent: Number(parent), owner: { uid: Number(uid), gid: Number(gid) } }
}

/**
 * The nearest process above it that started it and has its rights still. Only the view of that one
 * is to be trusted: in one that a program made itself, other files have the names of our tools.
 */
function rootAbove(pid: number, all: ReadonlyMap<number, Subject>): number | undefined {
  let above = all.get(all.get(pid)?.parent ?? 0)
  for (let steps = 0; above !== undefined && steps < all.size; steps += 1) {
    if (above.owner?.uid === 0) return above.pid
    above = all.get(above.parent)
  }
  return undefined
}

async function ownerNamed(name: string): Promise<Owner | undefined> {
  const ask = async (flag: string) => {
    const { stdout, failed } = await execa('/usr/bin/id', [flag, '--', name], { reject: false })
    return failed ? undefined : Number(stdout)
  }
  const [uid, gid] = [await ask('-u'), await ask('-g')]
  return uid === undefined || gid === undefined ? undefined : { uid, gid }
}

async function openWay(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await chmod(folder, PASSABLE)
}

/** Of links themselves, not of what they lead to. */
async function give(folder: string, { uid, gid }: Owner): Promise<void> {
  await execa('/bin/chown', ['-Rh', '--', `${uid}:${gid}`, folder])
}
