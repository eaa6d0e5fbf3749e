# Open vSwitch with the kernel's datapath, and a second host with one of its own. Needs a kernel with
# Open vSwitch, bonds, VXLAN, Geneve and GRE. Sourced by `host`.
#
#   int-dhcp in qdhcp-1   tap-1   veth-2 = eth0 in g2   int-off   int-lost (its namespace was deleted)
#   int-shut in qdhcp-1, off there   qg-1 in qrouter-1, off there
#                 \_________|______|_____________________|______/
#                                  br-int - int-br-ex = phy-br-ex - br-ex - eth1 == br-ex in h2
#   br-tun: vx, gen, gre to 192.0.2.12 and vx-dead to .99, with BFD     br-data: bond-ok (LACP with a
#   bond of the kernel in h2), bond-none (LACP without a partner)

scene() {
  local ns nic
  for ns in h2 qdhcp-1 qdhcp-2 qrouter-1 g2; do ip netns add $ns; ip -n $ns link set lo up; done
  modprobe -a vxlan geneve ip_gre
  start_h2
  for nic in eth1 bk0 bk1 bn0 bn1; do wire $nic h2 $nic; done
  hold_tap tap-1; up tap-1
  hold_tap tap-gone; up tap-gone
  wire veth-2 g2 eth0; ip -n g2 link set eth0 address fa:16:3e:00:00:02; ip -n g2 addr add 10.0.0.2/24 dev eth0
  switches
  tunnels
  bonds
  broken
  settle
}

neutron() { echo "-- set Port $1 tag=1 other_config:net_uuid=1 -- set Interface $1 external_ids:iface-id=i$2 external_ids:attached-mac=fa:16:3e:00:00:0$2"; }
internal() { echo "-- add-port br-int $1 -- set Interface $1 type=internal mac=\"fa:16:3e:00:00:0$2\" $(neutron "$1" "$2")"; }
switches() {
  vs -- add-br br-int -- add-br br-ex -- add-br br-tun -- set Bridge br-tun fail_mode=secure -- add-br br-data \
    -- add-port br-ex eth1 \
    -- add-port br-int tap-1 $(neutron tap-1 1) -- add-port br-int veth-2 $(neutron veth-2 2) -- add-port br-int tap-gone $(neutron tap-gone 6) \
    $(internal int-dhcp 3) $(internal int-off 4) $(internal int-lost 5) $(internal int-shut 7) $(internal qg-1 8) \
    -- add-port br-int int-br-ex -- set Interface int-br-ex type=patch options:peer=phy-br-ex \
    -- add-port br-ex phy-br-ex -- set Interface phy-br-ex type=patch options:peer=int-br-ex
  ip link set int-dhcp netns qdhcp-1; ip -n qdhcp-1 link set int-dhcp up; ip -n qdhcp-1 addr add 10.0.0.3/24 dev int-dhcp
  ip link set int-shut netns qdhcp-1; ip link set qg-1 netns qrouter-1
  ip link set int-lost netns qdhcp-2; ip -n qdhcp-2 link set int-lost up
  up br-ex; ip addr add 192.0.2.11/24 dev br-ex
  vs2 -- add-br br-ex -- add-br br-tun -- set Bridge br-tun fail_mode=secure -- add-port br-ex eth1
  ip -n h2 link set br-ex up; ip -n h2 addr add 192.0.2.12/24 dev br-ex
}

tunnel() {
  echo "-- add-port br-tun $1 -- set Interface $1 type=$2 options:local_ip=$3 options:remote_ip=$4 options:key=$5" \
    "bfd:enable=true bfd:min_rx=1000 bfd:min_tx=1000"
}
tunnels() {
  vs $(tunnel vx vxlan 192.0.2.11 192.0.2.12 1) $(tunnel gen geneve 192.0.2.11 192.0.2.12 2) \
    $(tunnel gre gre 192.0.2.11 192.0.2.12 3) $(tunnel vx-dead vxlan 192.0.2.11 192.0.2.99 4)
  vs2 $(tunnel vx vxlan 192.0.2.12 192.0.2.11 1) $(tunnel gen geneve 192.0.2.12 192.0.2.11 2) \
    $(tunnel gre gre 192.0.2.12 192.0.2.11 3)
}

bonds() {
  ip -n h2 link add bond4 type bond mode 802.3ad miimon 50 lacp_rate fast
  local nic; for nic in bk0 bk1; do ip -n h2 link set $nic down; ip -n h2 link set $nic master bond4; done
  ip -n h2 link set bond4 up
  vs -- add-bond br-data bond-ok bk0 bk1 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast \
     -- add-bond br-data bond-none bn0 bn1 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast
}

broken() {
  ip netns del qdhcp-2
  until ! ip -o link show int-lost > /dev/null 2>&1; do sleep 0.02; done
  # Its holder ends: the tap ends with it.
  ip link del tap-gone
}

settle() {
  # The DHCP port is learned by its question for the guest.
  ip netns exec qdhcp-1 bash -c 'echo > /dev/udp/10.0.0.2/9' 2> /dev/null || true
  vs -- wait-until Interface vx bfd_status:state=up -- wait-until Interface gen bfd_status:state=up \
     -- wait-until Interface gre bfd_status:state=up -- wait-until Interface vx-dead bfd_status:state=down \
     -- wait-until Interface bk0 lacp_current=true -- wait-until Interface bk1 lacp_current=true \
     -- wait-until Interface bn0 lacp_current=false -- wait-until Interface veth-2 link_state=up
}
