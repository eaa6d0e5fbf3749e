# Guests on a bridge and the namespaces that talk to them, one neighbour in each state. Every state
# is the kernel's own: somebody talked to the guest, and the sysctls of that namespace let the entry
# go no further. Sourced by `host`.

net=1abd0001-0000-4000-8000-000000000001
dhcp=qdhcp-$net                  # answers count for an hour; who does not answer fails at once
router=qrouter-1abf0001-0000-4000-8000-000000000001   # answers are stale at once; who does not answer stays incomplete
snat=snat-1abf0001-0000-4000-8000-000000000001        # stale at once, in DELAY for an hour after use
cni=cni-1abc0001-0000-4000-8000-000000000001          # stale at once, in PROBE for an hour after use
lonely=qdhcp-1abd0002-0000-4000-8000-000000000002     # the host's namespace has no number for it

scene() {
  ip link add br-n type bridge; up br-n
  local n name
  n=1; for name in $dhcp $router $snat $cni; do inhabit $name $n; n=$((n + 1)); done
  tune $dhcp base_reachable_time_ms=3600000 retrans_time_ms=50 delay_first_probe_time=0
  tune $router base_reachable_time_ms=1 mcast_solicit=10000 retrans_time_ms=50 delay_first_probe_time=0
  tune $snat base_reachable_time_ms=1 delay_first_probe_time=3600
  tune $cni base_reachable_time_ms=1 delay_first_probe_time=0 ucast_solicit=10000
  for n in 11 12 13 14 15 16; do guest $n; done
  lonely
  neutron
  states
}

# tune NETNS SYSCTL=VALUE...: of its device, both families.
tune() {
  local netns=$1 family; shift
  for set; do for family in ipv4 ipv6; do
    ip netns exec "$netns" sh -c "echo ${set#*=} > /proc/sys/net/$family/neigh/eth0/${set%%=*}"
  done; done
}

# plug NETNS PORT: its eth0 into br-n.
plug() {
  ip netns add "$1"; ip -n "$1" link set lo up
  ip link add "$2" type veth peer name eth0 netns "$1"
  ip link set "$2" master br-n; up "$2"
}
# address NETNS MAC_END ADDRESS_END: IPv6 without the wait for duplicates.
address() {
  ip netns exec "$1" sh -c 'cd /proc/sys/net/ipv6/conf/eth0; echo 0 > accept_dad; echo 0 > disable_ipv6; echo 0 > router_solicitations'
  ip -n "$1" link set eth0 address "fa:16:3e:00:00:$2" up
  ip -n "$1" addr add "10.0.1.$3/24" dev eth0
  ip -n "$1" addr add "fd00:1::$3/64" dev eth0 nodad
}
# A service's namespace, with a process in it.
inhabit() {
  plug "$1" "svc$2"; address "$1" "0$2" "$2"
  (exec setsid ip netns exec "$1" sleep 1000000) &
}
guest() { plug "g$1" "tap$1"; address "g$1" "$1" "$1"; }

# Two namespaces that never had a device of ours.
lonely() {
  ip netns add $lonely; ip netns add g21
  ip -n $lonely link add eth0 type veth peer name eth0 netns g21
  address $lonely 09 9; address g21 21 21
  tune $lonely base_reachable_time_ms=3600000
  (exec setsid ip netns exec $lonely dnsmasq --keep-in-foreground --port=0 --no-hosts --conf-file=/dev/null \
     --user=root --interface=eth0 --dhcp-range=10.0.1.0,static --pid-file=/run/dnsmasq-lonely.pid \
     --dhcp-leasefile=/run/dnsmasq-lonely.leases "--dhcp-hostsfile=/run/neutron/dhcp/${lonely#qdhcp-}/host" \
     < /dev/null > "$state/dnsmasq.log" 2>&1) &
}

# What Neutron writes down, in its usual place and by another name.
neutron() {
  local id dir
  mount -t tmpfs -o mode=755 tmpfs /var/lib; mkdir /var/lib/neutron /run/neutron
  mount --bind /var/lib/neutron /run/neutron
  for id in $net ${lonely#qdhcp-}; do mkdir -p /run/neutron/dhcp/$id; done
  dir=/run/neutron/dhcp/$net
  cat > $dir/host <<EOF
fa:16:3e:00:00:15,host-10-0-1-15.openstacklocal.,10.0.1.15
fa:16:3e:00:00:06,set:port-1ab00006,host-10-0-1-11.openstacklocal.,10.0.1.11
fa:16:3e:00:00:16,host-10-0-1-16.openstacklocal.,10.0.1.16
fa:16:3e:00:00:99,host-10-0-1-99.openstacklocal.,10.0.1.99
fa:16:3e:00:00:98,tag:dhcpv6,host-fd00-1--98.openstacklocal.,[fd00:1::98]
fa:16:3e:00:00:88,id:ff:00:00:88,host-10-0-1-88.openstacklocal.,10.0.1.88
EOF
  echo "1501085997 fa:16:3e:00:00:97 10.0.1.97 host-10-0-1-97 *" > $dir/leases
  until [ -s /run/dnsmasq-lonely.pid ]; do sleep 0.01; done
  cp /run/dnsmasq-lonely.pid "/run/neutron/dhcp/${lonely#qdhcp-}/pid"
}

# talk NETNS ADDRESS: one datagram to a port that nobody listens at.
talk() { ip netns exec "$1" bash -c "echo > /dev/udp/$2/9" 2> /dev/null || true; }
# until_state NETNS ADDRESS STATE...
until_state() {
  local netns=$1 address=$2 tries is; shift 2
  for tries in {1..500}; do
    is=$(ip -n "$netns" neigh show "$address" | awk '{ print $NF }')
    case " $* " in *" ${is:-none} "*) return;; esac
    sleep 0.02
  done
  echo "lab: $address in $netns is ${is:-none}, not $*" >&2; return 1
}

states() {
  local name
  for name in $dhcp $router $snat $cni; do talk $name 10.0.1.11; done
  until_state $dhcp 10.0.1.11 REACHABLE
  for name in $router $cni; do until_state $name 10.0.1.11 STALE; done
  until_state $snat 10.0.1.11 STALE DELAY
  talk $snat 10.0.1.11; until_state $snat 10.0.1.11 DELAY
  # Asked by datagram only; nobody answers them any more.
  talk $cni 10.0.1.12; until_state $cni 10.0.1.12 STALE
  talk $dhcp 10.0.1.13; until_state $dhcp 10.0.1.13 REACHABLE
  talk $router 10.0.1.13; until_state $router 10.0.1.13 STALE
  talk $router fd00:1::13; until_state $router fd00:1::13 STALE
  talk $router fd00:1::16; until_state $router fd00:1::16 STALE
  talk $router 10.0.1.16; until_state $router 10.0.1.16 STALE
  for name in g12 g13 g16; do ip -n $name link set eth0 down; done
  talk $cni 10.0.1.12; until_state $cni 10.0.1.12 PROBE
  talk $router 10.0.1.13; talk $router fd00:1::13; talk $router 10.0.1.16
  for name in 10.0.1.13 fd00:1::13 10.0.1.16; do until_state $router $name FAILED; done
  # Never answered.
  talk $dhcp 10.0.1.99; talk $dhcp fd00:1::98; talk $dhcp 10.0.1.97
  for name in 10.0.1.99 fd00:1::98 10.0.1.97; do until_state $dhcp $name FAILED; done
  talk $router 10.0.1.88; until_state $router 10.0.1.88 INCOMPLETE
  # IPv6 only.
  talk $dhcp fd00:1::14; until_state $dhcp fd00:1::14 REACHABLE
  ip -n $dhcp neigh add 10.0.1.77 lladdr fa:16:3e:00:00:77 dev eth0 nud permanent
  talk $lonely 10.0.1.21; until_state $lonely 10.0.1.21 REACHABLE
  # What a namespace leaves behind.
  : > /run/netns/qdhcp-stale
}
