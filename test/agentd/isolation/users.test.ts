// Programs of an agent that is root, as a user without rights: what they can do, and what not.

import { randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newAgent } from './root-agent.ts'

const isNodeInTmp = process.execPath.startsWith('/tmp/')

describe.skipIf(process.getuid?.() !== 0)('a program of an agent that is root', () => {
  test('S7: runs as its user, without capabilities and without a way to new ones', async () => {
    const { box, said } = await newAgent()
    expect(box.isolation).toMatchObject({ user: 'nobody' })
    expect(box.isolation.user_why).toMatch(/^without rights, in a view of their own/)
    const { lines, end } = await said(
      'id -u; id -G; grep -E "^(Cap|NoNew)" /proc/self/status; exit 3',
    )
    expect(end).toMatchObject({ code: 3 })
    expect(lines.slice(0, 2)).toEqual(['65534', '65534'])
    expect(lines.filter((line) => line.startsWith('Cap')).join()).not.toMatch(/[1-9a-f]{1,16}$/)
    expect(lines).toContain('NoNewPrivs:\t1')
  })

  test('S8: cannot read the token of its agent, nor the environment of another service', async () => {
    const { start, said, dataFolder } = await newAgent()
    const other = await start('echo up; exec sleep 600', { env: { SECRET: 'canary' } })
    const { lines } = await said(
      `cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" | grep canary;
       for pid in /proc/[0-9]*; do echo "sees $(tr "\\0" " " <$pid/cmdline | cut -c1-12)"; done
       kill -0 ${other.mark.pid} && echo reaches; ls ${dataFolder}/instances/${other.id}; cat ${dataFolder}/agent-token; echo done`,
    )
    const text = lines.join('\n')
    expect(text).toContain('Permission denied')
    expect(text).not.toMatch(/token$|canary|reaches|sleep 600|output\.log/m)
    expect(lines.at(-1)).toBe('done')
  })

  test('S7: writes to its own folders and to no other', async () => {
    const { said, folder, dataFolder } = await newAgent()
    writeFileSync(join(folder, 'program'), 'of the image')
    const name = randomUUID()
    const { lines, id } = await said(
      `cat program; echo; touch program.new 2>&1; touch $HOME/mine $TMPDIR/mine /tmp/${name} && echo wrote
       find / "$HOME" "$TMPDIR" -path /proc -prune -o -type d -writable -print 2>/dev/null | sort`,
    )
    const own = join(dataFolder, 'instances', id)
    expect(lines[0]).toBe('of the image')
    expect(lines[1]).toMatch(/Read-only file system|Permission denied/)
    const writable = lines.filter((line) => line.startsWith('/'))
    if (isNodeInTmp) {
      // A folder of its own in its place would hide the very Node that runs it.
      expect(writable).toEqual(['/dev/shm', `${own}/home`, `${own}/tmp`])
      return
    }
    expect(lines).toContain('wrote')
    expect(writable).toEqual(['/dev/shm', '/tmp', `${own}/home`, `${own}/tmp`, '/var/tmp'])
    expect(existsSync(`/tmp/${name}`)).toBe(false)
    expect(existsSync(join(own, 'tmp', name))).toBe(true)
  })

  test('S7: nothing of its environment is believed while its start has rights still', async () => {
    const { said, folder } = await newAgent()
    const trap = join(folder, '..', 'trapped')
    for (const tool of ['setpriv', 'mount', 'env', 'cat', 'unshare', 'mkdir', 'sh']) {
      writeFileSync(join(folder, tool), `#!/bin/sh\nid -u >>${trap}\n`, { mode: 0o755 })
    }
    writeFileSync(join(folder, 'rc'), `id -u >>${trap}\n`)
    const env = {
      PATH: folder,
      ENV: join(folder, 'rc'),
      BASH_ENV: join(folder, 'rc'),
      ODD: `it's\n"$HOME" \\`,
    }
    const { lines } = await said('printf "%s" "$ODD"; [ "$PATH" = "$0" ] || echo; echo "$PATH"', {
      env,
    })
    expect(lines).toEqual(["it's", '"$HOME" \\', folder])
    expect(existsSync(trap)).toBe(false)
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const)(
    'S17: gets %s, and its exit code is learnt',
    async (signal) => {
      const { start, programs } = await newAgent()
      const script = `trap 'echo bye; exit 7' ${signal.slice(3)}; echo up; while :; do sleep 0.05; done`
      const { id, mark, end } = await start(script)
      while (!(await programs.logTail(id)).includes('up')) await new Promise(setImmediate)
      programs.signal(id, mark, signal)
      expect(await end).toMatchObject({ code: 7 })
    },
  )

  test('F30: what it hides ends with it', async () => {
    const { start, programs } = await newAgent()
    const { id, mark, end } = await start('setsid env -i sleep 600 & echo up; wait')
    while (!(await programs.logTail(id)).includes('up')) await new Promise(setImmediate)
    programs.signal(id, mark, 'SIGKILL')
    await end
    await programs.sweep(id)
    expect(await programs.strays()).toEqual([])
  })

  test('S6: has its secrets as files that are its own, and sees no others', async () => {
    const { said } = await newAgent()
    const files = [{ name: 'key', text: 'canary' }]
    const { lines } = await said(
      'cat $TUCANO_SECRETS/key; echo; ls -l $TUCANO_SECRETS | tail -1; ls /dev/shm | wc -l',
      { files },
    )
    expect(lines[0]).toBe('canary')
    expect(lines[1]).toMatch(/^-r-------- 1 nobody /)
    expect(lines[2]).toBe('1')
  })

  test('a command that checks it is run as it is, and sees what it sees', async () => {
    const { start, programs } = await newAgent()
    const { id, mark } = await start('echo up >$HOME/file; echo up; exec sleep 600', {
      env: { MINE: 'canary' },
    })
    while (!(await programs.logTail(id)).includes('up')) await new Promise(setImmediate)
    const script =
      'echo $(id -u) $MINE $(cat $HOME/file) $(ls /proc | grep -c "^[0-9]") $(pwd | wc -l); exit 5'
    const way = { kind: 'command' as const, argv: ['/bin/sh', '-c', script] }
    const answer = await programs.probe({ id, mark, port: 1, way, timeoutMs: 10_000 })
    expect(answer).toEqual({
      ok: false,
      words: expect.stringMatching(/exit code 5: 65534 canary up [3-9] 1$/),
    })
  })

  test('a command is run as its program is, not as whom the program starts itself', async () => {
    const { start, programs } = await newAgent('nobody-at-all')
    const worker = 'setpriv --reuid=65534 --regid=65534 --clear-groups sleep 600'
    const { id, mark } = await start(`${worker} & sleep 0.2; echo up; wait`)
    await expect.poll(() => programs.logTail(id)).toEqual(['up'])
    const way = { kind: 'command' as const, argv: ['/bin/sh', '-c', 'id -u; exit 3'] }
    const { words } = await programs.probe({ id, mark, port: 1, way, timeoutMs: 10_000 })
    expect(words).toBe('/bin/sh: exit code 3: 0')
  })

  test('a user that is not there, or is root, is refused; without the usual one it is said', async () => {
    const { start, box } = await newAgent('nobody-at-all')
    expect(box.isolation.user).toBe('root')
    expect(box.isolation.user_why).toMatch(/there is no user nobody-at-all/)
    await expect(start('true', { user: 'nobody-at-all' })).rejects.toThrow(/no user nobody-at-all/)
    await expect(start('true', { user: 'root' })).rejects.toThrow(/is root/)
  })
})
