import { BlockList, isIP } from 'node:net';

const listOf = (family: 'ipv4' | 'ipv6', ranges: string[]) => {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', bits] = range.split('/');
    list.addSubnet(network, Number(bits), family);
  }
  return list;
};

// IANA's special-purpose registries (RFC 6890 and what was added since), and multicast.
const SPECIAL_4 = listOf('ipv4', [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
]);
/** All there is of public IPv6; outside are loopback, mapped and translated IPv4, unique local, link-local and multicast. */
const GLOBAL_6 = listOf('ipv6', ['2000::/3']);
const SPECIAL_6 = listOf('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20']);

// What a self-hoster may open: this machine and private networks, never where clouds keep credentials.
const PRIVATE_4 = listOf('ipv4', ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']);
const PRIVATE_6 = listOf('ipv6', ['::1/128', 'fc00::/7']);
const METADATA_4 = listOf('ipv4', ['100.100.100.200/32']);
const METADATA_6 = listOf('ipv6', ['fd00:ec2::254/128']);

/** `public`: anybody's; `private`: this machine or a private network; `never`: no place for a webhook. `address` is as a resolver gives it. */
export function reachOf(address: string): 'public' | 'private' | 'never' {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return 'never';
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const inside = (list: BlockList) => list.check(address, family);
  if (version === 4 ? !inside(SPECIAL_4) : inside(GLOBAL_6) && !inside(SPECIAL_6)) return 'public';
  const own = version === 4 ? inside(PRIVATE_4) && !inside(METADATA_4) : inside(PRIVATE_6) && !inside(METADATA_6);
  return own ? 'private' : 'never';
}
