import { expect, test } from 'vitest'
import { type Ends, proxyHeader } from '#ctld/balancer/data-plane/tcp/proxy-protocol.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'

function ends(sourceHost?: string, destinationHost?: string): Ends {
  return { sourceHost, sourcePort: 56324, destinationHost, destinationPort: 443 }
}

const hex = (ends: Ends) => proxyHeader('v2', ends).toString('hex')
const text = (ends: Ends) => proxyHeader('v1', ends).toString('latin1')

test('version 1 is a line', () => {
  expect(text(ends('192.168.0.1', '192.168.0.11'))).toBe(
    'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n',
  )
  expect(text(ends('2001:db8::1', '2001:db8:0:1::2'))).toBe(
    'PROXY TCP6 2001:db8::1 2001:db8:0:1::2 56324 443\r\n',
  )
  expect(text(ends())).toBe('PROXY UNKNOWN\r\n')
})

test('the longest line of version 1 has 104 characters, as the standard counts them', () => {
  const longest = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
  const line = text({ ...ends(longest, longest), sourcePort: 65535, destinationPort: 65535 })
  expect(line).toHaveLength(104)
})

test('version 2 is bytes: signature, command, family, length, addresses, ports', () => {
  expect(hex(ends('192.168.0.1', '192.168.0.11'))).toBe(
    [SIGNATURE, '21', '11', '000c', 'c0a80001', 'c0a8000b', 'dc04', '01bb'].join(''),
  )
  expect(hex(ends('2001:db8::1', 'fe80::5:a0b0:c0d'))).toBe(
    [
      SIGNATURE,
      '21',
      '21',
      '0024',
      '20010db8000000000000000000000001',
      'fe80000000000000000000' + '05a0b00c0d',
      'dc04',
      '01bb',
    ].join(''),
  )
})

test('version 2 says that it speaks for itself when an address or a port is not known', () => {
  const unknown = `${SIGNATURE}20000000`
  expect(hex(ends())).toBe(unknown)
  expect(hex(ends('192.168.0.1'))).toBe(unknown)
  expect(hex(ends('192.168.0.1', 'nonsense'))).toBe(unknown)
  expect(hex({ ...ends('192.168.0.1', '192.168.0.2'), sourcePort: undefined })).toBe(unknown)
})

test('an IPv4 address in an IPv6 one is an IPv4 address', () => {
  const plain = ends('10.1.2.3', '10.0.0.1')
  for (const mapped of [
    ends('::ffff:10.1.2.3', '::ffff:10.0.0.1'),
    ends('::ffff:a01:203', '10.0.0.1'),
  ]) {
    expect(text(mapped)).toBe(text(plain))
    expect(hex(mapped)).toBe(hex(plain))
  }
})

test('addresses of two families are both written as IPv6', () => {
  const both = ends('10.1.2.3', '2001:db8::1')
  expect(text(both)).toBe('PROXY TCP6 ::ffff:10.1.2.3 2001:db8::1 56324 443\r\n')
  expect(hex(both)).toBe(
    [
      SIGNATURE,
      '21210024',
      '00000000000000000000ffff0a010203',
      '20010db8000000000000000000000001',
      'dc0401bb',
    ].join(''),
  )
})

test('the zone of a link-local address is left out', () => {
  expect(text(ends('fe80::1%eth0', 'fe80::2%eth0'))).toBe(
    'PROXY TCP6 fe80::1 fe80::2 56324 443\r\n',
  )
  expect(hex(ends('fe80::1%eth0', 'fe80::2'))).toBe(hex(ends('fe80::1', 'fe80::2')))
})

test.each([
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['1::', '00010000000000000000000000000000'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
  ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
])('%s has the bytes %s', (address, bytes) => {
  expect(hex(ends(address, '::2')).slice(32, 64)).toBe(bytes)
})
