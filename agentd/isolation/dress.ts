// How a program is started so that it has none of the agent's power: the words that stand before
// its own. Only agents that are root can do that. Pure. What is run as root gets nothing of the
// service's environment, which could name a library for root to load, but absolute paths; the
// environment comes through a file descriptor to a shell that has no rights any more.

export type Owner = { uid: number; gid: number }

/** What a program sees of the agent's folders. All are absolute, and exist. */
export type View = {
  /** An empty folder of the agent's, to keep things in meanwhile. */
  stage: string
  /** What it takes for /tmp; undefined: /tmp is everybody's. */
  tmp: string | undefined
  /** Folders in which it finds nothing … */
  hidden: readonly string[]
  /** … but these, which it may write to when it owns them. */
  kept: readonly string[]
}

/**
 * Init of a process namespace: a shell, since a program as number 1 would get no signal that it
 * does not handle, and nobody would reap. Its words: stage, tmp or `-`, what is kept, `:`, what is
 * hidden, `:`, what is kept, `--`, the program. Everything else that is on the disk of the system
 * is read-only for it.
 */
const INIT = `trap : TERM INT HUP QUIT
PATH=/usr/sbin:/usr/bin:/sbin:/bin
stage=$1
tmp=$2
shift 2
prepare() {
  mount -t tmpfs -o mode=0700,size=64k tucano "$stage" || return
  count=0
  while [ "$1" != : ]; do
    count=$((count + 1))
    mkdir "$stage/$count" && mount --bind "$1" "$stage/$count" || return
    shift
  done
  shift
  while [ "$1" != : ]; do
    mode=0711,size=64k
    [ "$1" != /dev/shm ] || mode=1777
    mount -t tmpfs -o "mode=$mode,nosuid,nodev" tucano "$1" || return
    shift
  done
  shift
  count=0
  while [ "$1" != -- ]; do
    count=$((count + 1))
    mkdir -p "$1" && mount --move "$stage/$count" "$1" || return
    shift
  done
  umount "$stage" || return
  [ "$tmp" = - ] || { mount --bind "$tmp" /tmp && mount --bind "$tmp" /var/tmp; } || return
  mount -o remount,bind,ro /
}
if prepare "$@"; then
  while [ "$1" != -- ]; do shift; done
  shift
  "$@"
else
  echo 'tucano: it could not be given a view of its own' >&2
  exit 125
fi`

/** Takes its environment from the file descriptor $1, whole or not at all. */
const ENTRANCE = `eval "$(/bin/cat <&"$1")"
[ "$tucano_env" = whole ] || exit 125
unset tucano_env
shift
exec "$@"`

/** Signals by which a program may be asked to stop, and that would end unshare before it. */
const SIGNALS = 'HUP,QUIT,INT,TERM'

export type Start = { owner: Owner; view: View | undefined; argv: readonly string[]; fd: number }

/** `view` undefined: it sees the machine as it is. */
export function dressed({ owner, view, argv, fd }: Start): string[] {
  const program = undressed({ owner, argv, fd })
  if (view === undefined) return program
  const { stage, tmp, hidden, kept } = view
  return [
    ...['/usr/bin/env', `--ignore-signal=${SIGNALS}`],
    ...['/usr/bin/unshare', '--mount', '--pid', '--ipc', '--fork', '--kill-child', '--mount-proc'],
    ...['/usr/bin/env', `--default-signal=${SIGNALS}`, '/bin/sh', '-c', INIT, 'tucano'],
    ...[stage, tmp ?? '-', ...kept, ':', ...hidden, ':', ...kept, '--', ...program],
  ]
}

/** Into the view and the folder that a program was given, by a process that is root: `pid`. */
export function visiting({ owner, argv, fd, pid }: Omit<Start, 'view'> & { pid: number }) {
  const enter = ['/usr/bin/nsenter', `--target=${pid}`, '--mount', '--pid', '--ipc', '--wd', '--']
  return [...enter, ...undressed({ owner, argv, fd })]
}

/** Without rights, without a way back to any, and then with its environment. */
function undressed({ owner, argv, fd }: Omit<Start, 'view'>): string[] {
  return [
    ...['/usr/bin/setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups'],
    ...['--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'],
    ...['/bin/sh', '-c', ENTRANCE, 'tucano', String(fd), ...argv],
  ]
}

/** What is written to the file descriptor, in the words of a shell. */
export function environmentText(env: Readonly<Record<string, string>>): string {
  const lines = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}\n`)
  return `${lines.join('')}tucano_env=whole\n`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
