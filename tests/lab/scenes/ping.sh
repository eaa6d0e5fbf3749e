# Paths to ping: a cable with faults to another host, which is also a router to places that do not
# answer or are too narrow. Sourced by `host`.
#
#   wire0 198.51.100.1, 2001:db8:51::1   ==cable==   wire1 198.51.100.2, 2001:db8:51::2 in h2
#   h2 routes: 203.0.113.1 answers behind an MTU of 1400; .64/26 is unreachable, .128/26 prohibited
#
# /run/wire has the cable's faults and counts.

scene() {
  ip netns add h2; ip netns add h3
  mkdir -p /run/wire; : > /run/wire/faults
  "$here/wire" /run/wire wire0 wire1 &
  until [ -e /run/wire/ready ]; do sleep 0.01; done
  ip link set wire1 netns h2
  with_ipv6 wire0; ip netns exec h2 sh -c "$(declare -f with_ipv6); with_ipv6 wire1"
  ip addr add 198.51.100.1/24 dev wire0; ip -6 addr add 2001:db8:51::1/64 dev wire0 nodad
  ip -n h2 addr add 198.51.100.2/24 dev wire1; ip -n h2 -6 addr add 2001:db8:51::2/64 dev wire1 nodad
  up wire0; ip -n h2 link set wire1 up; ip -n h2 link set lo up
  router
  names
}

# The lab switches it off for new devices.
with_ipv6() { echo 0 > "/proc/sys/net/ipv6/conf/$1/disable_ipv6"; echo 0 > "/proc/sys/net/ipv6/conf/$1/accept_dad"; }

router() {
  ip -n h2 link add narrow type veth peer name narrow netns h3
  ip -n h2 link set narrow up mtu 1400; ip -n h3 link set narrow up mtu 1400; ip -n h3 link set lo up
  ip -n h2 addr add 203.0.113.2/27 dev narrow; ip -n h3 addr add 203.0.113.1/27 dev narrow
  ip -n h3 route add default via 203.0.113.2
  ip -n h2 route add unreachable 203.0.113.64/26; ip -n h2 route add prohibit 203.0.113.128/26
  # All of its ICMP errors are wanted, not one a second.
  ip netns exec h2 sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'
  ip route add 203.0.113.0/24 via 198.51.100.2
}

# A DNS server that knows one name, is silent about another, and knows no others.
names() {
  local file
  for file in hosts resolv.conf; do
    : > "/run/$file"; [ -e "/etc/$file" ] || : > "/etc/$file"; mount --bind "/run/$file" "/etc/$file"
  done
  echo '198.51.100.2 in-hosts' > /etc/hosts
  printf 'nameserver 127.0.0.1\nsearch lab.example\n' > /etc/resolv.conf
  perl -e 'use Socket qw(:DEFAULT inet_pton);
    socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_in(53, INADDR_LOOPBACK)) or die "dns: $!";
    $0 = "dns-lab";
    while (my $from = recv($s, my $q, 512, 0)) {
      my ($id, $name) = (substr($q, 0, 2), substr($q, 12, -4));
      my $kind = unpack("n", substr($q, -4, 2));
      next if $name =~ /silent/;
      my $known = $name eq "\5far-h\3lab\7example\0" || $name eq "\5far-6\3lab\7example\0";
      my $address = $known && $kind == 1 && $name =~ /far-h/ ? inet_aton("198.51.100.2")
                  : $known && $kind == 28 && $name =~ /far-6/ ? inet_pton(AF_INET6, "2001:db8:51::2") : "";
      my $answer = $address eq "" ? "" : "\xc0\x0c" . pack("nnNn", $kind, 1, 60, length $address) . $address;
      send($s, $id . pack("nnnnn", 0x8180 | ($known ? 0 : 3), 1, $answer eq "" ? 0 : 1, 0, 0) . substr($q, 12) . $answer, 0, $from);
    }' &
  until ss -lun 2> /dev/null | grep -q '127.0.0.1:53 '; do sleep 0.01; done
}
