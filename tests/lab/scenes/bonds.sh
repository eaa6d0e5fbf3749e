# NICs, bonds and VLAN devices upon them, and bridges that have them as uplinks. Needs a kernel with
# bonds, VLAN devices and dummies. Sourced by `host`.
#
#   eth1 - eth1.100 - brq-a            eth2 (no carrier) - eth2.200     eth3 (off) - eth3.300
#   bond0 (b0, b1) - bond0.100 - brq-b     bond1 (c0, c1 without carrier)     bond2 (d0) - brq-c
#   bond4 (l0, l1), LACP with the bond of h2      bond5 (m0, m1), LACP without a partner
#   bond6 (e0, e1 without carrier) - bond6.100    bond7 (f0, f1 switched off)    bond9 without a member
#   bond8 (k0, k1, k2), LACP, k2 without a partner
. "$here/scenes/bridges.sh"

scene() {
  ip netns add guests; ip netns add h2
  nics; bonds; vlans; plugged
}

nics() {
  local nic
  for nic in eth1 eth2 eth3 b0 b1 c0 c1 d0 e0 e1 f0 f1 k0 k1 k2 l0 l1 m0 m1; do
    ip link add $nic type veth peer name $nic netns h2; ip -n h2 link set $nic up
  done
  up eth1 eth2 eth3
  ip -n h2 link set eth2 down
  # A VLAN device can be made up only while its lower one is.
}

# bond NAME MODE NIC... in a namespace or here: `bond` runs ip with $at.
bond() {
  local name=$1 mode=$2 nic; shift 2
  ip ${at:-} link add "$name" type bond mode $mode miimon 20
  for nic; do ip ${at:-} link set "$nic" down; ip ${at:-} link set "$nic" master "$name"; done
  ip ${at:-} link set "$name" up
}
bonds() {
  local name
  bond bond0 active-backup b0 b1
  bond bond1 active-backup c0 c1; ip -n h2 link set c0 down; ip -n h2 link set c1 down
  bond bond2 active-backup d0
  bond bond4 "802.3ad lacp_rate fast" l0 l1; at="-n h2" bond bond4 "802.3ad lacp_rate fast" l0 l1
  bond bond5 "802.3ad lacp_rate fast" m0 m1
  bond bond6 active-backup e0 e1; ip -n h2 link set e1 down
  bond bond7 active-backup f0 f1; ip link set f1 down
  bond bond8 "802.3ad lacp_rate fast" k0 k1 k2; at="-n h2" bond bond8 "802.3ad lacp_rate fast" k0 k1
  bond bond9 active-backup
  for name in 0 6 7; do until grep -q up /sys/class/net/bond$name/operstate; do sleep 0.02; done; done
  for name in 4 8; do until grep -q 2 /sys/class/net/bond$name/bonding/ad_num_ports; do sleep 0.1; done; done
}

vlan() { ip link add link "$1" name "$1.$2" type vlan id "$2"; up "$1.$2"; }
vlans() {
  vlan eth1 100; vlan eth2 200; vlan eth3 300; vlan bond0 100; vlan bond1 100; vlan bond6 100
  ip link add link eth1 name eth1.101 type vlan id 101
  ip link set eth3 down
  ip -n h2 link add link eth1 name eth1.100 type vlan id 100; ip -n h2 link set eth1.100 address 02:00:00:00:00:f1 up
}

plugged() {
  linux_bridge brq-a; linux_bridge brq-b; linux_bridge brq-c
  ip link set eth1.100 master brq-a; ip link set bond0.100 master brq-b; ip link set bond2 master brq-c
  guest 61 brq-a tap-61; guest 62 brq-b tap-62
  bridge fdb add fa:16:3e:00:00:71 dev eth1.100 master static
  bridge fdb add fa:16:3e:00:00:72 dev bond0.100 master static
  bridge fdb add fa:16:3e:00:00:73 dev bond2 master static
  local bridge
  for bridge in brq-a brq-b brq-c; do until grep -q up /sys/class/net/$bridge/operstate; do sleep 0.05; done; done
}
