// Starts a program under a small shell that leads its process group and stays until the program
// ends, to write down how: so its end is learnt by whatever agent runs then. The user's words are
// the shell's arguments and never part of its script.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, realpathSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Owner } from '#agentd/isolation/dress.ts'
import { giveEnvironment } from '#agentd/isolation/users.io.ts'
import type { ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { openLogFiles } from './log-file.io.ts'
import { markOf } from './proc.io.ts'

/** Where memory runs short on the whole machine, programs go before the agent (F33). */
const OOM_SCORE = 500

/**
 * A trap with a handler keeps the shell alive through a signal to the group, while the program
 * gets the signal's default action back: an ignored one it would inherit. The program runs in the
 * foreground, since a shell starts what is in its background with SIGINT ignored. $1 is where the
 * end is written, renamed into place so that nobody reads half of it; $0 stands before the shell's
 * own words, such as `not found`. At last it kills its group, itself included: later nobody can,
 * since a group without its leader has no name that is surely its own. Before all that it enters
 * the control group by the files up to `--`, so that no program ever runs outside; $2 is the number
 * of open files, or `-`.
 */
const KEEPER = `trap : TERM INT HUP QUIT
tucano_exit_file=$1.$$
tucano_files=$2
shift 2
enter() {
  while [ "$1" != -- ]; do
    echo $$ >"$1" || return
    shift
  done
  [ "$tucano_files" = - ] || ulimit -n "$tucano_files" || return
  echo ${OOM_SCORE} 2>/dev/null >/proc/self/oom_score_adj || :
}
if enter "$@"; then
  while [ "$1" != -- ]; do shift; done
  shift
  "$@"
  code=$?
else
  echo "tucano: it could not be given its limits" >&2
  code=125
fi
printf '%s\\n' "$code" >"$tucano_exit_file.new" &&
  /bin/mv -f "$tucano_exit_file.new" "$tucano_exit_file" &&
  kill -KILL 0
exit "$code"`

export type Places = { instances: string; exits: string }

export function placesOf(dataFolder: string): Places {
  const places = { instances: join(dataFolder, 'instances'), exits: join(dataFolder, 'exits') }
  for (const place of Object.values(places)) mkdirSync(place, { recursive: true, mode: 0o700 })
  return places
}

/** Names one agent of this machine in the environment of what it starts. */
export function agentTagOf(dataFolder: string): string {
  return createHash('sha256').update(realpathSync(dataFolder)).digest('hex').slice(0, 16)
}

export type Heard = {
  onStart(mark: ProgramMark): void
  /** The shell ended while this agent lives. */
  onExit(mark: ProgramMark, end: ProgramEnd): void
}

/** How it is started as somebody else; `env` is all that its shell, which is the agent's, gets. */
export type Clothes = {
  owner: Owner
  env: Readonly<Record<string, string>>
  dress(start: { tmp: string; kept: string; argv: readonly string[] }): string[]
}

export async function launch(
  places: Places,
  start: {
    id: string
    argv: readonly string[]
    folder: string
    env: Readonly<Record<string, string>>
    boot: string
    /** Files by which its control group is entered. */
    entries: readonly string[]
    openFiles: number | undefined
    /** Absent: it runs as the agent. */
    clothes?: Clothes | undefined
  },
  heard: Heard,
): Promise<ProgramMark> {
  const { id, argv, folder, boot, entries, openFiles, clothes } = start
  await removeExits(places, id)
  const home = join(places.instances, id, 'home')
  const temporary = join(places.instances, id, 'tmp')
  for (const each of [home, temporary]) await mkdir(each, { recursive: true, mode: 0o700 })
  await using handle = (await openLogFiles(join(places.instances, id))).handle
  const full = { HOME: home, TMPDIR: temporary, ...start.env }
  if (clothes !== undefined) {
    const { uid, gid } = clothes.owner
    await chmod(join(places.instances, id), 0o711)
    // Its output too: a program may open /dev/stdout.
    for (const each of [home, temporary]) await chown(each, uid, gid)
    await handle.chown(uid, gid)
  }
  const own = clothes?.dress({ tmp: temporary, kept: join(places.instances, id), argv }) ?? argv
  const words = [join(places.exits, id), String(openFiles ?? '-'), ...entries, '--', ...own]
  const child = spawn('/bin/sh', ['-c', KEEPER, 'tucano', ...words], {
    cwd: folder,
    // The shell is the agent's own: nothing of the service's environment when it has more rights.
    env: clothes === undefined ? full : clothes.env,
    detached: true,
    stdio: ['ignore', handle.fd, handle.fd, ...(clothes === undefined ? [] : ['pipe' as const])],
  })
  if (child.pid === undefined) {
    const [error] = await once(child, 'error')
    throw error
  }
  if (clothes !== undefined) giveEnvironment(child, full)
  const mark = markOf(child.pid, boot)
  heard.onStart(mark)
  child.once('exit', async (code, signal) => {
    heard.onExit(mark, (await readExit(places, id, mark)) ?? endOf(code, signal))
  })
  child.unref()
  return mark
}

/** What the shell wrote down; undefined: it did not, or not yet. */
export async function readExit(
  { exits }: Places,
  id: string,
  { pid }: ProgramMark,
): Promise<ProgramEnd | undefined> {
  const text = await readFile(join(exits, `${id}.${pid}`), 'utf8').catch(() => '')
  return /^\d{1,3}\n$/.test(text) ? endOf(Number(text), null) : undefined
}

export async function removeExits({ exits }: Places, id: string): Promise<void> {
  const files = (await readdir(exits)).filter((name) => name.startsWith(`${id}.`))
  for (const name of files) await rm(join(exits, name), { force: true })
}

/** A shell says 128 + n of a program that signal n killed. */
function endOf(code: number | null, signal: string | null): ProgramEnd {
  if (signal !== null) return { code: undefined, signal }
  const number = (code ?? 0) - 128
  const name = Object.entries(constants.signals).find(([, known]) => known === number)?.[0]
  return name === undefined ? { code: code ?? undefined, signal: undefined } : named(name)
}

function named(signal: string): ProgramEnd {
  return { code: undefined, signal }
}
