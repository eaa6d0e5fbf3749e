# The vServices of a network node: namespaces with real dnsmasq, haproxy, keepalived and radvd, each
# in one state of health, and Neutron's files about them. Sourced by `host`.
#
# Ids end in the number of the case: qdhcp-$(net 3) is the third network.

scene() {
  # /var/lib is this host's own: Neutron's files are where Neutron puts them.
  mount -t tmpfs -o mode=755 tmpfs /var/lib
  mkdir -p $neutron/{dhcp,external/pids,ns-metadata-proxy,ovn-metadata-proxy,ha_confs,lbaas/v2}
  dhcp_services
  routers
  # Files as a distribution that keeps them to itself leaves them: of a router whose proxy crashed.
  cp -r $neutron /run/private; chown -R 64042:64042 /run/private; chmod -R u=rwX,go= /run/private
  others
}

neutron=/var/lib/neutron
net() { printf '1abd%04d-0000-4000-8000-000000000001' "$1"; }
router() { printf '1abf%04d-0000-4000-8000-000000000001' "$1"; }

# netns NAME DEVICE: a namespace with one interface, its near end up here.
netns() {
  ip netns add "$1"; ip -n "$1" link set lo up
  ip link add "t$2" type veth peer name "n$2" netns "$1"; up "t$2"; ip -n "$1" link set "n$2" up
}
within() { local ns=$1; shift; nsenter --net="/run/netns/$ns" "$@"; }
# detached COMMAND...: goes on alone, without the lab's stdin and stdout.
detached() { setsid "$@" < /dev/null > /dev/null 2>&1 & }

dhcp_service() {
  netns "qdhcp-$(net "$1")" "d$1"
  ip -n "qdhcp-$(net "$1")" addr add "10.0.$1.2/24" dev "nd$1"
  ip -n "qdhcp-$(net "$1")" addr add 169.254.169.254/16 dev "nd$1"
  mkdir -p "$neutron/dhcp/$(net "$1")"
}
# dnsmasq_of N [OPTION...]: as Neutron's DHCP agent starts it.
dnsmasq_of() {
  local n=$1 dir; dir=$neutron/dhcp/$(net "$1"); shift
  : > "$dir/host"; : > "$dir/opts"
  within "qdhcp-$(net "$n")" dnsmasq --no-hosts --no-resolv --pid-file="$dir/pid" \
    --dhcp-hostsfile="$dir/host" --dhcp-optsfile="$dir/opts" --dhcp-leasefile="$dir/leases" \
    --local-service --bind-dynamic --conf-file=/dev/null --user=root --group=root "$@"
  until [ -s "$dir/pid" ]; do sleep 0.01; done
}
ranges() { echo "--dhcp-range=set:subnet-$1,10.0.$1.0,static,255.255.255.0,86400s --dhcp-lease-max=256"; }
dnsmasq_pid() { cat "$neutron/dhcp/$(net "$1")/pid"; }

# haproxy_of NETNS ID ADDRESS [CONFIGURATION_DIR]: the metadata proxy of a network or router.
haproxy_of() {
  local conf=$neutron/${4:-ns-metadata-proxy}/$2.conf pidfile=$neutron/external/pids/$2.pid.haproxy
  printf '%s\n' global "  maxconn 64" "  pidfile $pidfile" "  daemon" defaults "  mode http" \
    "  timeout connect 5s" "  timeout client 5s" "  timeout server 5s" "listen listener" \
    "  bind $3" "  server metadata /run/metadata_proxy" > "$conf"
  within "$1" haproxy -f "$conf"
  until [ -s "$pidfile" ]; do sleep 0.01; done
}
haproxy_pid() { cat "$neutron/external/pids/$1.pid.haproxy"; }

# stand_in NETNS NAME [PERL]: a process of that name, for daemons that cannot run here.
stand_in() { detached nsenter --net="/run/netns/$1" perl -e '$0 = $ARGV[0]; eval $ARGV[1]; sleep' "$2" "${3:-}"; }

dhcp_services() {
  local n
  for n in 1 2 3 4 5 7 8 9 10 11 12 13 16 17 18; do dhcp_service $n; done
  dnsmasq_of 1 $(ranges 1)                                        # 1 works, with a metadata proxy
  haproxy_of "qdhcp-$(net 1)" "$(net 1)" 169.254.169.254:80
  cp "$neutron/dhcp/$(net 1)/pid" "$neutron/dhcp/$(net 2)/pid"    # 2 empty; its pid is another's now
  dnsmasq_of 3 $(ranges 3); kill -STOP "$(dnsmasq_pid 3)"         # 3 stopped
  zombie_of 4                                                     # 4 a zombie
  dnsmasq_of 5 $(ranges 5); kill -KILL "$(dnsmasq_pid 5)"         # 5 dead, its proxy alive
  haproxy_of "qdhcp-$(net 5)" "$(net 5)" 169.254.169.254:80
  : > "/run/netns/qdhcp-$(net 6)"; chmod 0 "/run/netns/qdhcp-$(net 6)"  # 6 a stale file
  dnsmasq_of 7                                                    # 7 DNS only: port 67 is not open
  haproxy_of "qdhcp-$(net 8)" "$(net 8)" 169.254.169.254:80       # 8 started again behind its proxy,
  dnsmasq_of 8 $(ranges 8)                                        #   with a second one and a helper
  within "qdhcp-$(net 8)" dnsmasq --port=5353 --no-resolv --pid-file=/run/second.pid \
    --conf-file=/dev/null --user=root --group=root
  stand_in "qdhcp-$(net 8)" dhcp-helper
  echo 0 > "/proc/sys/net/ipv6/conf/default/disable_ipv6" || true # 9 IPv6 alone
  ip -n "qdhcp-$(net 9)" link set nd9 down
  within "qdhcp-$(net 9)" sh -c 'echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6
    echo 0 > /proc/sys/net/ipv6/conf/nd9/disable_ipv6; ip addr flush dev nd9; ip link set nd9 up
    ip addr add fd00::2/64 dev nd9 nodad'
  dnsmasq_of 9 --port=0 --dhcp-range=fd00::100,fd00::200,64
  dnsmasq_of 10 $(ranges 10)                                      # 10 a pid file of before the boot
  echo $$ > "$neutron/dhcp/$(net 10)/pid"; touch -d '2001-01-01' "$neutron/dhcp/$(net 10)/pid"
  # 11 in a pid namespace of its own, as in a container beside the agent's
  detached unshare --pid --fork --mount-proc nsenter --net="/run/netns/qdhcp-$(net 11)" dnsmasq -k \
    --no-hosts --no-resolv --pid-file="$neutron/dhcp/$(net 11)/pid" --bind-dynamic \
    --conf-file=/dev/null --user=root --group=root --dhcp-leasefile=/run/leases-11 $(ranges 11)
  until [ -s "$neutron/dhcp/$(net 11)/pid" ]; do sleep 0.01; done
  # 12 in uninterruptible sleep: a parent of vfork is, until its child ends
  stand_in "qdhcp-$(net 12)" dnsmasq 'use Socket; socket(S, PF_INET, SOCK_DGRAM, 17);
    bind(S, sockaddr_in(67, INADDR_ANY)) or die; syscall(58)'
  until grep -qs '(dnsmasq) D' /proc/[0-9]*/stat; do sleep 0.01; done
  dnsmasq_of 13 $(ranges 13)                                      # 13 works, its interface is down
  ip -n "qdhcp-$(net 13)" link set nd13 down
  made_again
  dnsmasq_of 16 $(ranges 16)                                      # 16 works, another one is stopped
  second_dnsmasq 16
  dnsmasq_of 17 $(ranges 17)                                      # 17 works, a proxy nobody recorded
  haproxy_of "qdhcp-$(net 17)" "$(net 17)" 169.254.169.254:80     #   is stopped
  kill -STOP "$(haproxy_pid "$(net 17)")"
  rm "$neutron/ns-metadata-proxy/$(net 17).conf" "$neutron/external/pids/$(net 17).pid.haproxy"
  dnsmasq_of 18 $(ranges 18)                                      # 18 works, an interface without a
  ip -n "qdhcp-$(net 18)" link add tap-18 type bridge             #   partner up here is down
}

# A second DHCP server that no pid file of Neutron's names.
second_dnsmasq() {
  within "qdhcp-$(net "$1")" dnsmasq --port=0 --no-resolv --pid-file="/run/other-$1.pid" --bind-dynamic \
    --conf-file=/dev/null --user=root --group=root --dhcp-leasefile=/run/leases-other $(ranges "$1")
  until [ -s "/run/other-$1.pid" ]; do sleep 0.01; done
  kill -STOP "$(cat "/run/other-$1.pid")"
}

# 15 made again, while the daemon of the one before lives on where nobody can name it
made_again() {
  dhcp_service 15; dnsmasq_of 15 $(ranges 15)
  ip netns del "qdhcp-$(net 15)"
  ip netns add "qdhcp-$(net 15)"; ip -n "qdhcp-$(net 15)" link set lo up
  ip link add td15b type veth peer name nd15 netns "qdhcp-$(net 15)"; up td15b
}

zombie_of() {
  local dir; dir=$neutron/dhcp/$(net "$1")
  detached perl -e 'my $pid = fork; if (!$pid) { exec @ARGV or die } sleep' \
    nsenter --net="/run/netns/qdhcp-$(net "$1")" dnsmasq -k --pid-file="$dir/pid" --no-resolv \
    --conf-file=/dev/null --user=root --group=root --bind-dynamic --dhcp-leasefile="$dir/leases" $(ranges "$1")
  until [ -s "$dir/pid" ]; do sleep 0.01; done
  kill -KILL "$(cat "$dir/pid")"
  until grep -q '^State:.Z' "/proc/$(cat "$dir/pid")/status"; do sleep 0.01; done
}

# keepalived_of NETNS N: as Neutron's L3 agent starts it.
keepalived_of() {
  local dir; dir=$neutron/ha_confs/$(router "$2"); mkdir -p "$dir"
  printf '%s\n' "global_defs {" "  router_id neutron" "}" "vrrp_instance VR_1 {" "  state BACKUP" \
    "  interface nr$2" "  virtual_router_id 1" "  priority 50" "  nopreempt" "  advert_int 2" \
    "  virtual_ipaddress {" "    169.254.0.1/24 dev nr$2" "  }" "}" > "$dir/keepalived.conf"
  chmod 644 "$dir/keepalived.conf"
  within "$1" keepalived -P -f "$dir/keepalived.conf" -p "$dir.pid" -r "$dir.pid-vrrp" -D \
    > /dev/null 2>&1
  until [ -s "$dir.pid-vrrp" ]; do sleep 0.01; done
}

routers() {
  local n
  for n in 1 2 3 4 5 6 7 8 9 10 11; do
    netns "qrouter-$(router $n)" "r$n"; ip -n "qrouter-$(router $n)" addr add "10.1.$n.1/24" dev "nr$n"
  done
  haproxy_of "qrouter-$(router 1)" "$(router 1)" 0.0.0.0:9697     # 1 primary of an HA router
  keepalived_of "qrouter-$(router 1)" 1; echo primary > "$neutron/ha_confs/$(router 1)/state"
                                                                  # 2 no process, works
  haproxy_of "qrouter-$(router 3)" "$(router 3)" 0.0.0.0:9697     # 3 its proxy is stopped
  kill -STOP "$(haproxy_pid "$(router 3)")"
  ip link set tr4 down                                            # 4 no process, no link
  keepalived_of "qrouter-$(router 5)" 5                           # 5 backup of an HA router: what is
  echo backup > "$neutron/ha_confs/$(router 5)/state"             #   left of its proxy does not matter
  echo 999999 > "$neutron/external/pids/$(router 5).pid.haproxy"
  ip -n "qrouter-$(router 5)" link add qg-5 type veth peer name qg-5-far
  haproxy_of "qrouter-$(router 6)" "$(router 6)" 0.0.0.0:9697     # 6 its proxy crashed
  kill -KILL "$(haproxy_pid "$(router 6)")"
  netns "snat-$(router 7)" s7; ip -n "snat-$(router 7)" link set ns7 name nr7   # 7 distributed and HA
  keepalived_of "snat-$(router 7)" 7
  radvd_of 8                                                      # 8 radvd
  echo $$ > "$neutron/external/pids/$(router 9).pid.haproxy"      # 9 a pid file of before the boot
  touch -d '2001-01-01' "$neutron/external/pids/$(router 9).pid.haproxy"
  haproxy_of "qrouter-$(router 10)" "$(router 10)" 0.0.0.0:9697   # 10 works, a keepalived that nobody
  keepalived_of "qrouter-$(router 10)" 10                         #   recorded is stopped
  kill -STOP "$(cat "$neutron/ha_confs/$(router 10).pid-vrrp")"
  rm -r "$neutron/ha_confs/$(router 10)"*
  haproxy_of "qrouter-$(router 11)" "$(router 11)" 0.0.0.0:9697   # 11 the same with radvd
  radvd_of 11; kill -STOP "$(cat "$neutron/external/pids/$(router 11).pid.radvd")"
  rm "$neutron/external/pids/$(router 11).pid.radvd"
}

radvd_of() {
  local ns; ns=qrouter-$(router "$1")
  printf 'interface nr%s { AdvSendAdvert on; prefix fd00:%s::/64 { }; };\n' "$1" "$1" > /run/radvd.conf
  within "$ns" sh -c "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/nr$1/disable_ipv6
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; ip addr add fe80::1/64 dev nr$1 nodad"
  within "$ns" radvd -C /run/radvd.conf -p "$neutron/external/pids/$(router "$1").pid.radvd" -m none \
    -u root
  until [ -s "$neutron/external/pids/$(router "$1").pid.radvd" ]; do sleep 0.01; done
}

others() {
  netns "ovnmeta-$(net 21)" m21                                   # OVN's metadata proxy
  ip -n "ovnmeta-$(net 21)" addr add 169.254.169.254/16 dev nm21
  haproxy_of "ovnmeta-$(net 21)" "$(net 21)" 169.254.169.254:80 ovn-metadata-proxy
  netns "ovnmeta-$(net 22)" m22                                   # one that is not there
  netns "ovnmeta-$(net 23)" m23                                   # one that lives and does not listen
  stand_in "ovnmeta-$(net 23)" haproxy
  netns "cni-$(net 24)" c24                                       # a pod
  netns "qrouter-$(router 25)" v25; stand_in "qrouter-$(router 25)" charon     # a VPN
  netns "fip-$(net 26)" f26                                       # floating addresses
}
