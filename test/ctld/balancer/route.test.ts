import { expect, test } from 'vitest'
import { findRoute, hostName, indexRoutes } from '#ctld/balancer/route.ts'
import { route } from './rig.ts'

const index = indexRoutes([
  route([], { service: 'api', hosts: ['api', 'x.example'], paths: ['/a/b', '/svc/api/'] }),
  route([], { service: 'root', hosts: ['root'], paths: ['/', '/svc/root/'] }),
  route([], { service: 'shop', hosts: ['shop'], paths: ['/a', '/svc/shop/'], publicPort: 9_000 }),
])

function find(host: string | undefined, path: string, port = 80): string | undefined {
  const found = findRoute(index, host, path, port)
  return found && `${found.route.service} ${found.strip}`.trim()
}

test.each([
  ['Api', 'api'],
  ['X.Example:8080', 'x.example'],
  ['x.example.', 'x.example'],
  ['[::1]', '[::1]'],
  ['[2001:DB8::1]:443', '[2001:db8::1]'],
])('Q09: the host of %s is %s', (header, name) => {
  expect(hostName(header)).toBe(name)
})

test('Q09: the dedicated port comes first, then the host, then the longest path', () => {
  expect(find('api', '/svc/root/', 9_000)).toBe('shop')
  expect(find('api', '/svc/shop/x')).toBe('api')
  expect(find(undefined, '/a/b/c')).toBe('api')
  expect(find('nobody', '/a/bc')).toBe('shop')
  expect(find('nobody', '/a/')).toBe('shop')
  expect(find('nobody', '/ab')).toBe('root')
})

test('Q09: only the prefix that the balancer invented is taken off the path', () => {
  expect(find('nobody', '/svc/api/x')).toBe('api /svc/api')
  expect(find('nobody', '/svc/api')).toBe('api /svc/api')
  expect(find('api', '/svc/api/x')).toBe('api')
  expect(find('nobody', '/svc/apix/')).toBe('root')
})

test('a name like a property of every object is no service', () => {
  expect(findRoute(indexRoutes([]), '__proto__', '/constructor', 80)).toBeUndefined()
})
