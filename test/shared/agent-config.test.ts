import { expect, test } from 'vitest'
import { parseAgentConfig } from '#shared/agent-config.ts'
import { complaints } from '#test/helpers/configurations.ts'

const small = 'name: w1\ncontroller: http://10.0.0.10:7070\n'
const parse = (text: string) => parseAgentConfig(text, 'agent.yaml')
const refusal = (text: string) => complaints(() => parse(text))

test('M46/S01: the smallest configuration, and every default, its port among them', () => {
  expect(parse(small)).toEqual({
    name: 'w1',
    controller: 'http://10.0.0.10:7070',
    token: { file: '/var/lib/tucano-agent/agent-token' },
    host: '0.0.0.0',
    port: 7071,
    publish_interval: '2s',
    port_range: { from: 20_000, to: 32_000 },
    data_folder: '/var/lib/tucano-agent',
    isolation: { user: 'tucano-run' },
  })
  expect(parse(`${small}data_folder: /srv/a\n`).token).toEqual({ file: '/srv/a/agent-token' })
})

test.each(['50ms', '1.5s', '1h'])('M46: publish_interval %s', (interval) => {
  expect(parse(`${small}publish_interval: ${interval}\n`).publish_interval).toBe(interval)
})

test.each(['49ms', '61m', '0s', '2', 'soon'])('M46: publish_interval %s is refused', (interval) => {
  expect(refusal(`${small}publish_interval: ${interval}\n`)).toContain(
    'agent.yaml:3:1 publish_interval: expected a duration like 250ms, 2s or 10m, 50ms..1h',
  )
})

test.each(['http://ctl-1:7070/', 'http://[fd00::1]:7070'])('controller %s', (url) => {
  expect(parse(small.replace('http://10.0.0.10:7070', url)).controller).toBe(url.replace(/\/$/, ''))
})

test.each([
  '10.0.0.10:7070',
  'https://10.0.0.10:7070',
  'http://10.0.0.10',
  'http://10.0.0.10:0',
  'http://10.0.0.10:70700',
  'http://user:pass@10.0.0.10:7070',
  'http://10.0.0.10:7070/api',
  'http://10.0.0:7070',
  'http://[10.0.0]:7070',
])('controller %s is refused', (url) => {
  expect(refusal(small.replace('http://10.0.0.10:7070', url))).toContain(
    'agent.yaml:2:1 controller: expected the address of the controller API',
  )
})

test.each([
  ['from: 20009, to: 20000', 'port_range: expected at least 10 ports, from below to'],
  ['from: 20000, to: 20008', 'port_range: expected at least 10 ports'],
  ['from: 80', 'port_range.from: expected a whole number, 1024..65535, got 80'],
  ['from: 7000', "port: the agent's own port 7071 lies in port_range 7000..32000"],
])('port_range {%s} is refused', (range, why) => {
  expect(refusal(`${small}port_range: { ${range} }\n`)).toContain(why)
})

test('ten ports are enough', () => {
  const { port_range } = parse(`${small}port_range: { from: 20000, to: 20009 }\n`)
  expect(port_range).toEqual({ from: 20_000, to: 20_009 })
})
