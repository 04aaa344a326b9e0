// What the CLI says when it is called wrongly or cannot reach a controller.

import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commands } from '#cli/commands.ts'
import { ADMIN_TOKEN } from '#test/helpers/api.ts'
import { createTestCli, runIn, writeContext } from '#test/helpers/cli.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const tucano = (...argv: string[]) => runIn(temporaryFolder(), argv).done

test.each([
  [['stpo', 'api'], 'there is no command stpo; did you mean stop?'],
  [['ps', '--wid'], 'there is no option --wid; did you mean --wide?'],
  [['--jsno'], 'there is no option --jsno; did you mean --json?'],
  [['scale', 'api'], 'COUNT is missing; usage: tucano scale SERVICE COUNT [options]'],
  [['scale', 'api', '-3'], 'concurrency is a whole number from 0 to 1000, not -3'],
  [['scale', 'api', 'many'], 'concurrency is a whole number from 0 to 1000, not many'],
  [['scale', 'api', '1001'], 'concurrency is a whole number from 0 to 1000, not 1001'],
  [['deploy', '--timeout', '-3'], '--timeout is a duration like 90s or 10m, not -3'],
  [['ps', 'a', 'b'], 'unexpected argument b'],
  [['deploy', '--timeout', 'soon'], '--timeout is a duration like 90s or 10m, not soon'],
  [['config', 'put'], 'use: tucano config get, put FILE, or history'],
  [['deploy', '/nowhere'], 'there is no folder or file /nowhere'],
  [['help', 'depoly'], 'there is no command depoly; did you mean deploy?'],
])('%j is wrong usage: 2', async (argv, words) => {
  const { code, out, err } = await tucano(...argv)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(words)
  expect(err.split('\n')).toHaveLength(2)
})

test('S28: help lists every command, and each has a help of its own', async () => {
  const all = await tucano('--help')
  expect(all.code).toBe(0)
  expect(all.out.split('\n').filter(({ length }) => length > 80)).toEqual([])
  expect((await tucano()).out).toBe(all.out)
  const names = commands.map(({ name }) => name)
  const nodes = ['nodes', 'drain', 'undrain', 'unfreeze']
  const services = ['services', 'deploy', 'ps', 'show', 'logs', 'scale', 'stop', 'start', 'rm']
  expect(names).toEqual(expect.arrayContaining([...nodes, ...services, 'alerts', 'config']))
  for (const { name, summary } of commands) {
    expect(all.out).toContain(`\n  ${name}`)
    const one = await tucano('help', name)
    expect(one.out.startsWith(`${summary}\n\nUsage: tucano ${name}`)).toBe(true)
    expect(await tucano(name, '--help')).toEqual(one)
    expect(one.out.split('\n').filter(({ length }) => length > 80)).toEqual([])
  }
})

test('without a controller a command tells how to name one; version needs none', async () => {
  const { code, err } = await tucano('ps')
  expect(code).toBe(2)
  expect(err).toContain('TUCANO_CONTROLLER')
  expect(err).toContain('or call it in the folder of `tucano up`, or:\n  export TUCANO_CONTROLLER=')
  expect(await tucano('version')).toMatchObject({ code: 0, err: '' })
  expect((await tucano('--version')).out).toMatch(/^tucano \d/)
})

test('flags come before the environment, that before a context file above the folder', async () => {
  const { url, folder } = await createTestCli()
  const below = join(folder, 'a', 'b')
  mkdirSync(below, { recursive: true })
  expect((await runIn(below, ['ps']).done).code).toBe(0)

  const elsewhere = { TUCANO_CONTROLLER: 'http://127.0.0.1:1', TUCANO_TOKEN_FILE: 'none' }
  const wrong = await runIn(below, ['ps'], { env: elsewhere }).done
  expect(wrong.err).toContain('cannot read secret file')
  const tokenFile = join(folder, '.tucano/admin-token')
  const right = ['--controller', url, '--token-file', tokenFile, 'ps']
  expect((await runIn(below, right, { env: elsewhere }).done).code).toBe(0)
  const env = { TUCANO_CONTROLLER: url, TUCANO_TOKEN_FILE: tokenFile }
  expect((await runIn(temporaryFolder(), ['ps'], { env }).done).code).toBe(0)
})

test('the context of the user is the last resort', async () => {
  const { url } = await createTestCli()
  const home = temporaryFolder()
  writeContext(join(home, '.config/tucano'), url)
  expect((await runIn(temporaryFolder(), ['ps'], { env: { HOME: home } }).done).code).toBe(0)
})

test('the token of a context never goes to another controller', async () => {
  const { folder } = await createTestCli()
  const { code, err } = await runIn(folder, ['ps', '-c', 'http://127.0.0.1:1']).done
  expect(code).toBe(2)
  expect(err).toContain('there is no token for http://127.0.0.1:1')
})

test('a context in a folder cannot send a file from elsewhere', async () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, '.tucano'))
  const context = { controller: 'http://127.0.0.1:1', token_file: '../secret' }
  writeFileSync(join(folder, '.tucano/context.json'), JSON.stringify(context))
  writeFileSync(join(folder, 'secret'), 'a-secret-of-the-user', { mode: 0o600 })
  const { code, err } = await runIn(folder, ['ps']).done
  expect(code).toBe(2)
  expect(err).toContain('its token_file lies outside its folder')
})

test.each(['{', '[]', '{"controller": 1}', 'null'])('a context of %s is refused', async (text) => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, '.tucano'))
  writeFileSync(join(folder, '.tucano/context.json'), text)
  const { code, err } = await runIn(folder, ['ps']).done
  expect(code).toBe(2)
  expect(err).toContain('context.json cannot be used')
})

test.each(['ftp://x', 'localhost:7070', 'http://u:p@x', 'http://x?token=1'])(
  'the address %s is refused',
  async (url) => {
    expect((await tucano('ps', '-c', url)).code).toBe(2)
  },
)

test('a controller that is not there is one clear line, and 1', async () => {
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), 'http://127.0.0.1:1')
  const { code, err } = await runIn(folder, ['ps']).done
  expect(code).toBe(1)
  expect(err).toBe(
    'tucano: cannot reach the controller at http://127.0.0.1:1: connection refused; ' +
      'start it, or give the right --controller URL (tucano up starts one here)\n',
  )
})

test('a wrong token is said without the token', async () => {
  const { url } = await createTestCli()
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), url, 'a-wrong-token-of-some-length')
  const { code, err } = await runIn(folder, ['ps']).done
  expect(code).toBe(1)
  expect(err).toContain('next: check that --token-file')
  expect(err).not.toContain('a-wrong-token')
})

test('what is not a controller is told from one', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), `http://127.0.0.1:${port}`)
  const { code, err } = await runIn(folder, ['ps']).done
  server.close()
  expect(code).toBe(1)
  expect(err).toContain('the answer is not JSON: is this a Tucano controller?')
})

test('a 404 that is not of the API names the likely mistake, and is wrong usage', async () => {
  const body = '{"type":"about:blank","title":"service not found","status":404,"requestId":"x-1"}'
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () =>
      socket.end(
        'HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n' +
          `Content-Length: ${body.length}\r\n\r\n${body}`,
      ),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), `http://127.0.0.1:${port}`)
  const { code, err } = await runIn(folder, ['show', 'api']).done
  server.close()
  expect(code).toBe(2)
  expect(err).toContain(
    `http://127.0.0.1:${port} is not a Tucano API (is that the balancer's port?)`,
  )
})

test('a redirection is not followed: the token stays with its controller', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () =>
      socket.end(
        'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
      ),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const folder = temporaryFolder()
  writeContext(join(folder, '.tucano'), `http://127.0.0.1:${port}`)
  const { err } = await runIn(folder, ['ps']).done
  server.close()
  expect(err).toContain('the answer is a redirection (HTTP 302)')
  expect(err).not.toContain(ADMIN_TOKEN)
})
