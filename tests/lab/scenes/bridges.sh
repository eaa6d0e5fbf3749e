# A host with Linux bridges, each in one state, and guests behind them that have spoken. Sourced by
# `host`. Works with and without Open vSwitch.

scene() {
  ip netns add guests
  forwarding; idle; loop; silent; uplinks; spoilt
}

linux_bridge() { local name=$1; shift; ip link add "$name" type bridge "$@"; up "$name"; }
# A namespace that says nothing unasked (no IPv6).
quiet_netns() {
  ip netns add "$1"; ip -n "$1" link set lo up
  nsenter --net="/run/netns/$1" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;
    echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6' 2> /dev/null || true
}
# guest N BRIDGE PORT [TAP_MAC]: a network namespace gN with fa:16:3e:00:00:0N and 10.0.BRIDGE.N, and
# its port, which has the address that libvirt would give it, or another one.
guest() {
  local ns=g$1 mac=fa:16:3e:00:00:$1 tap=${4:-fe:16:3e:00:00:$1}
  quiet_netns "$ns"
  ip link add "$3" address "$tap" type veth peer name eth0 address "$mac" netns "$ns"
  ip link set "$3" master "$2" up
  ip -n "$ns" link set eth0 up; ip -n "$ns" addr add "10.0.0.$((10#$1))/24" dev eth0
}
# says A B...: guest A asks for each B, and is answered: the bridge learns both.
says() {
  local from=$1 to; shift
  for to; do ip netns exec "g$from" bash -c "echo > /dev/udp/10.0.0.$((10#$to))/9" 2> /dev/null || true; done
}
# learned BRIDGE MAC...: until the bridge has learned them.
learned() {
  local bridge=$1 mac; shift
  for mac; do until bridge fdb show br "$bridge" | grep -q "^$mac .*master $bridge *$"; do sleep 0.02; done; done
}

# Guest 01 has a port as libvirt makes them, 02 one as a container's.
forwarding() {
  linux_bridge br-ok
  guest 01 br-ok tap-01
  guest 02 br-ok veth-02 02:00:00:00:00:02
  says 01 02; learned br-ok fa:16:3e:00:00:01 fa:16:3e:00:00:02
  bridge fdb add fa:16:3e:00:00:03 dev veth-02 master static
}

idle() {
  linux_bridge br-portless
  ip link add br-down type bridge; ip link add d0 type veth peer name d0-far; ip link set d0 master br-down up
  linux_bridge br-nocarrier; ip link add n0 type veth peer name n0-far; ip link set n0 master br-nocarrier up
}

# Two cables between two bridges: STP blocks one end.
loop() {
  linux_bridge br-root stp_state 1 forward_delay 200 priority 4096
  linux_bridge br-leaf stp_state 1 forward_delay 200
  local n
  for n in 1 2; do
    ip link add "root$n" type veth peer name "leaf$n"
    ip link set "root$n" master br-root up; ip link set "leaf$n" master br-leaf up
  done
  until ip -d link show master br-leaf | grep -q 'state blocking'; do sleep 0.05; done
  until ip -d link show master br-leaf | grep -q 'state forwarding'; do sleep 0.05; done
  local blocked; blocked=$(ip -d link show master br-leaf | grep -B9 'state blocking' | sed -n 's/^[0-9]*: \(leaf.\)@.*/\1/p' | tail -n 1)
  bridge fdb add fa:16:3e:00:00:31 dev "$blocked" master static
}

# Ageing 0, as os-vif sets it for hybrid plugging: a tap, and a veth to Open vSwitch.
silent() {
  hybrid 11 fe:16:3e:00:00:11                   # a tap with its guest's address
  hybrid 12 fe:00:00:00:00:99                   # a tap with another one: the only port that is no uplink
  hybrid 13 fe:16:3e:00:00:13; ip link set tap-13 down
  hybrid 14 fe:16:3e:00:00:14; ip link del tap-14
}
hybrid() {
  linux_bridge "qbr-$1" ageing_time 0
  hold_tap "tap-$1"; ip link set "tap-$1" address "$2" master "qbr-$1" up
  ip link add "qvb-$1" type veth peer name "qvo-$1"; ip link set "qvb-$1" master "qbr-$1" up; up "qvo-$1"
}

# Addresses behind what leads away.
uplinks() {
  linux_bridge br-up
  ip link add vx0 type vxlan id 5 dstport 4789 local 127.0.0.1; ip link set vx0 master br-up up
  bridge fdb add fa:16:3e:00:00:21 dev vx0 master static
  ip link add qvb-22 type veth peer name qvo-22; ip link set qvb-22 master br-up up; up qvo-22
  bridge fdb add fa:16:3e:00:00:22 dev qvb-22 master static
  # A second bridge behind a cable: its guest is no guest of the first.
  linux_bridge br-far; ip link add cable type veth peer name cable-far
  ip link set cable master br-up up; ip link set cable-far master br-far up
  guest 23 br-far tap-23
  guest 24 br-up tap-24
  says 23 24; learned br-up fa:16:3e:00:00:23
  # A guest's address behind another guest's port.
  guest 25 br-up tap-25
  bridge fdb replace fa:16:3e:00:00:24 dev tap-25 master static sticky    # or it would follow its guest
}

# Ports that were set up wrongly, or went down.
spoilt() {
  linux_bridge br-spoilt
  guest 41 br-spoilt tap-41 fa:16:3e:00:00:41                      # the port has its guest's address
  guest 42 br-spoilt tap-42
  says 42 41; learned br-spoilt fa:16:3e:00:00:42
  guest 43 br-spoilt tap-43; ip link set tap-43 down
  guest 44 br-spoilt tap-44; ip -n g44 link set eth0 down
  bridge fdb add fa:16:3e:00:00:44 dev tap-44 master static
  guest 45 br-spoilt tap-45                                        # never spoke
}
