// Starts the programs as their users do: plain Node, no bundler and no test runner between. What
// passes here and in the types is erasable, starts, and leaves with the exit code it promises.

import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import packageJson from '#package.json' with { type: 'json' }

const START_MS_MAX = 30_000

describe.each([
  { program: 'tucano_ctld', file: 'ctld/main.ts' },
  { program: 'tucano_agentd', file: 'agentd/main.ts' },
  { program: 'tucano_balancer', file: 'ctld/balancer/data-plane/main.ts' },
  { program: 'tucano', file: 'cli/main.ts' },
])('$program', ({ program, file }) => {
  const start = (...args: string[]) => run([file, ...args])

  test('says how it is used, and leaves with 0', { timeout: START_MS_MAX }, async () => {
    const { code, stdout, stderr } = await start('--help')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(program)
    expect(stdout).toMatch(/usage:/i)
  })

  test('says its version, and leaves with 0', { timeout: START_MS_MAX }, async () => {
    const { code, stdout, stderr } = await start('--version')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(packageJson.version)
  })

  test('leaves with 2 when it is used wrongly, and says why', {
    timeout: START_MS_MAX,
  }, async () => {
    const { code, stdout, stderr } = await start('--no-such-option')
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`${program}: `)
    expect(stderr).toContain('--no-such-option')
  })

  test('is what its name in the package starts', { timeout: START_MS_MAX }, async () => {
    const { code, stdout } = await execute(`bin/${program}`, ['--version'])
    expect({ code, has: stdout.includes(packageJson.version) }).toEqual({ code: 0, has: true })
  })
})

describe('the example', () => {
  test('of the controller is accepted', { timeout: START_MS_MAX }, async () => {
    const args = ['--check', '--allow-nonlocal', '--config', 'topology.example.yaml']
    const { code, stdout, stderr } = await run(['ctld/main.ts', ...args])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('1 controller, 3 workers')
  })

  test('of the agent is accepted, once its token is there', { timeout: START_MS_MAX }, async () => {
    const token = await temporaryFile('agent-token', `${'a'.repeat(64)}\n`)
    const text = (await readFile('agent.example.yaml', 'utf8')).replace(
      /file: \S*agent-token/,
      `file: ${token}`,
    )
    const agent = await temporaryFile('agent.yaml', text)
    const { code, stdout, stderr } = await run(['agentd/main.ts', '--check', '--config', agent])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('worker-1')
  })

  test('of the controller is of another machine than this', { timeout: START_MS_MAX }, async () => {
    const { code, stderr } = await run(['ctld/main.ts', '--check', '-c', 'topology.example.yaml'])
    expect({ code, hasIp: stderr.includes('10.0.0.10') }).toEqual({ code: 2, hasIp: true })
  })
})

describe('the controller does not start', () => {
  test('T01, F28: with two controllers; it names both, with 2', {
    timeout: START_MS_MAX,
  }, async () => {
    const { code, stderr } = await run([
      'ctld/main.ts',
      '--config',
      await temporaryFile(
        'topology.yaml',
        'topology:\n' +
          '  - { name: c1, kind: ctl, ip: 127.0.0.1 }\n' +
          '  - { name: c2, kind: ctl, ip: 127.0.0.2 }\n',
      ),
    ])
    expect(code).toBe(2)
    for (const name of ['c1', 'c2', '127.0.0.1', '127.0.0.2']) expect(stderr).toContain(name)
  })

  test('T02, F28: without a controller, with 2', { timeout: START_MS_MAX }, async () => {
    const text = 'topology:\n  - { name: w1, kind: worker, ip: 127.0.0.1 }\n'
    const { code, stderr } = await run([
      'ctld/main.ts',
      '--config',
      await temporaryFile('topology.yaml', text),
    ])
    expect({ code, says: stderr.includes('kind ctl') }).toEqual({ code: 2, says: true })
  })

  test('without its file, with 2 and no stack', { timeout: START_MS_MAX }, async () => {
    const { code, stderr } = await run(['ctld/main.ts', '--config', 'no-such-file.yaml'])
    expect({ code, hasStack: /\n\s+at /.test(stderr) }).toEqual({ code: 2, hasStack: false })
    expect(stderr).toContain('no-such-file.yaml')
  })
})

test('Q24: the package brings the Node that it asks for', async () => {
  expect(packageJson.engines.node).toBe('>=24')
  const { code, stdout } = await execute('node_modules/.bin/node', ['--version'])
  expect({ code, version: stdout }).toEqual({ code: 0, version: expect.stringMatching(/^v24\./) })
  expect(process.version).toBe(stdout.trim())
})

test.each(['trivial-js', 'html', 'number-fact'])(
  'the service %s refuses to start without PORT',
  async (name) => {
    const { PORT: _, ...env } = process.env
    const { code, stderr } = await run([`services/${name}/server.ts`], { ...env, PORT: '' })
    expect({ code, says: stderr.includes('PORT') }).toEqual({ code: 1, says: true })
  },
  START_MS_MAX,
)

test('every module is erasable, and loads in plain Node', { timeout: 60_000 }, async () => {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', ...FOLDERS])
    .toString()
    .split('\0')
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && existsSync(path))
  expect(files.length).toBeGreaterThan(80)
  const { code, stdout, stderr } = await run(['--input-type=module', '--eval', LOAD, ...files])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual([])
})

const FOLDERS = [
  'ctld',
  'agentd',
  'shared',
  'cli',
  'services',
  'bench',
  'test/sim',
  'test/fixtures',
]

/** Prints what is wrong as JSON. What starts something when it is loaded is only stripped. */
const LOAD = `
  import { readFileSync } from 'node:fs'
  import { stripTypeScriptTypes } from 'node:module'
  import { pathToFileURL } from 'node:url'
  process.removeAllListeners('warning')
  const wrong = []
  for (const file of process.argv.slice(1)) {
    const text = readFileSync(file, 'utf8')
    const starts = /(^|\\/)(main|server|worker|[a-z-]*-worker\\.io)\\.ts$|^(test\\/fixtures|bench)\\//
    try {
      stripTypeScriptTypes(text, { mode: 'strip' })
      if (!starts.test(file)) await import(pathToFileURL(file))
    } catch (error) {
      wrong.push(file + ': ' + error.message)
    }
  }
  process.stdout.write(JSON.stringify(wrong), () => process.exit(0))
`

async function temporaryFile(name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tucano-smoke-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, name)
  await writeFile(path, text, { mode: 0o600 })
  return path
}

type Ended = { code: number; stdout: string; stderr: string }

function run(args: string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return execute(process.execPath, args, env)
}

function execute(
  file: string,
  args: string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...env, NODE_OPTIONS: '' }, timeout: START_MS_MAX - 1_000 }
    execFile(file, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    })
  })
}
