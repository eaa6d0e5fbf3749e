# A host whose devices are plugged into Open vSwitch: pNICs, vNICs, bonds, tunnels, OVN, and a second
# host at the far end; each object in one state. Sourced by `host`.

scene() {
  second_host
  devices
  bridges; tunnels; bonds
  spoil
  settle
}

# The far end of every cable, with an Open vSwitch of its own.
second_host() {
  local ns
  for ns in h2 guests qdhcp-lab; do ip netns add $ns; ip -n $ns link set lo up; done
  start_h2
}

devices() {
  # pNICs
  wire eth1 h2 eth1                                                   # works; shows as eth1@ifN
  ip link add eth2 type veth peer name eth2 netns h2; up eth2         # no carrier
  ip link add eth3 type veth peer name eth3 netns h2                  # admin-down
  ip tuntap add dev tap0 mode tap; up tap0                            # nobody holds it: no carrier
  ip link add br-empty type bridge; up br-empty
  # vNICs
  hold_tap tap-ok; up tap-ok
  local dev
  for dev in tap-admin tap-link tap-dead tap-notag tap-gone ovn-ok ovn-not trunk-parent; do
    wire $dev guests "g-${dev:0:13}"
  done
  ip link set tap-admin down
  ip -n guests link set g-tap-link down
  # bond members
  for dev in bok0 bok1 bhalf0 bhalf1 bnolacp0 bnolacp1 bfall0 bfall1; do wire $dev h2 $dev; done
  ip -n h2 link set bhalf1 down
}

# neutron N: what os-vif writes to the interface of an instance.
neutron() {
  echo "external_ids:iface-id=1ab0000$1-0${1}aa-4000-8000-00000000000$1" \
       "external_ids:attached-mac=fa:16:3e:00:00:0$1" \
       "external_ids:iface-status=active external_ids:vm-uuid=1ab000ff-0000-4000-8000-00000000000$1"
}
net_uuid=other_config:net_uuid=1abe0001-0000-4000-8000-000000000001
# vnic N NAME [TAG] and patch NAME PEER: parts of one ovs-vsctl command line.
vnic() { echo "-- add-port br-int $2 ${3:+tag=$3} -- set Port $2 $net_uuid -- set Interface $2 $(neutron "$1")"; }
patch() { echo "-- set Interface $1 type=patch options:peer=$2"; }
bridge() { echo "-- add-br $1 -- set Bridge $1 datapath_type=netdev"; }
long=patch-br-data-to-br-ovn-0123456789abcdef                         # 40 bytes: only OVN makes such names

# One transaction: each one costs a reconfiguration of ovs-vswitchd. Unquoted on purpose: words.
bridges() {
  vs $(bridge br-int) $(bridge br-ex) $(bridge br-tun) fail_mode=secure $(bridge br-data) \
    $(bridge br-ovn) $(bridge tbr-1) \
    -- add-port br-ex eth1 \
    $(vnic 1 tap-ok 1) $(vnic 2 tap-admin 1) $(vnic 3 tap-link 1) $(vnic 4 tap-dead 4095) \
    $(vnic 5 tap-notag) $(vnic 6 tap-gone 1) $(vnic 7 tap-error 1) \
    -- add-port br-int int-br-ex $(patch int-br-ex phy-br-ex) \
    -- add-port br-ex phy-br-ex $(patch phy-br-ex int-br-ex) \
    -- add-port br-int patch-orphan $(patch patch-orphan no-such-peer) \
    -- add-port br-data $long $(patch $long patch-to-data) \
    -- add-port br-ovn patch-to-data $(patch patch-to-data $long) \
    -- add-port br-int int-moved tag=1 -- set Interface int-moved type=internal \
    -- add-port br-int int-down tag=1 -- set Interface int-down type=internal \
    -- add-port br-ovn ovn-ok -- set Interface ovn-ok $(neutron 8) external_ids:ovn-installed=true \
    -- add-port br-ovn ovn-not -- set Interface ovn-not $(neutron 9) \
    -- add-port tbr-1 trunk-parent -- set Port trunk-parent $net_uuid
  ip link set int-moved netns qdhcp-lab; ip -n qdhcp-lab link set int-moved up
  # br-ex carries the tunnels; the LOCAL ports of the others stay down, as Neutron leaves them.
  up br-ex; ip addr add 192.0.2.11/24 dev br-ex

  vs2 $(bridge br-ex) $(bridge br-tun) $(bridge br-data) -- add-port br-ex eth1
  ip -n h2 link set br-ex up; ip -n h2 addr add 192.0.2.12/24 dev br-ex
}

# tunnel NAME LOCAL REMOTE
tunnel() {
  echo "-- add-port br-tun $1 -- set Interface $1 type=vxlan options:local_ip=$2 options:remote_ip=$3" \
       "options:in_key=flow options:out_key=flow bfd:enable=true bfd:min_rx=300 bfd:min_tx=300"
}

tunnels() {
  vs $(tunnel vxlan-ok 192.0.2.11 192.0.2.12) $(tunnel vxlan-dead 192.0.2.11 192.0.2.99)
  vs2 $(tunnel vxlan-h1 192.0.2.12 192.0.2.11)
}

bonds() {
  local fast="bond_mode=balance-tcp lacp=active other_config:lacp-time=fast"
  # Only bond-ok has a partner: two bonds between two bridges would be a loop.
  vs2 -- add-bond br-data bond-h1 bok0 bok1 $fast
  vs -- add-bond br-data bond-ok bok0 bok1 $fast \
     -- add-bond br-data bond-half bhalf0 bhalf1 bond_mode=active-backup lacp=off \
     -- add-bond br-data bond-nolacp bnolacp0 bnolacp1 $fast \
     -- add-bond br-data bond-fallback bfall0 bfall1 $fast other_config:lacp-fallback-ab=true
}

# What goes wrong after it was set up. OVS keeps the ofport of tap-gone: only ifindex 0 and link down tell.
spoil() { ip link del tap-gone; }

# Until ovs-vswitchd has written down the states that take a while.
settle() {
  vs wait-until Interface vxlan-ok bfd_status:state=up \
     -- wait-until Interface vxlan-dead bfd_status:state=down \
     -- wait-until Interface bok0 lacp_current=true -- wait-until Interface bok1 lacp_current=true \
     -- wait-until Interface bnolacp0 lacp_current=false -- wait-until Interface bfall0 lacp_current=false \
     -- wait-until Port bond-fallback 'bond_active_slave!=[]' 'bond_active_slave!="00:00:00:00:00:00"' \
     -- wait-until Interface bhalf0 link_state=up -- wait-until Interface bhalf1 link_state=down \
     -- wait-until Interface tap-ok link_state=up -- wait-until Interface tap-link link_state=down \
     -- wait-until Interface tap-gone link_state=down
}
