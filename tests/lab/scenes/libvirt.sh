# A host with libvirt's daemon and its test driver: one domain in each state, by name vm-STATE, with
# a UUID that begins with the state's number. Sourced by `host`.

scene() {
  quarters
  nodes > /run/node.xml
  starter > /run/start-libvirtd
  activator > /run/start-activated
  chmod 755 /run/start-libvirtd /run/start-activated
  /run/start-libvirtd
}

# What libvirt writes stays in the host; what its packages would have set up is here.
quarters() {
  local dir
  for dir in /var/lib /var/cache /var/log /etc/libvirt; do mount -t tmpfs -o mode=755 tmpfs $dir; done
  mkdir -p /run/libvirt
  local name
  for name in passwd group; do cp /etc/$name /run/$name; done
  grep -q ^libvirt-qemu: /run/passwd || echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >> /run/passwd
  grep -q ^libvirt-qemu: /run/group || echo 'libvirt-qemu:x:64055:' >> /run/group
  for name in passwd group; do mount --bind /run/$name /etc/$name; done
  # Only of use where there is a QEMU: no users, no labels, no cgroups of a lab.
  printf '%s\n' 'user = "nobody"' 'group = "nogroup"' 'security_driver = "none"' \
    'cgroup_controllers = [ ]' 'namespaces = [ ]' 'remember_owner = 0' 'stdio_handler = "file"' > /etc/libvirt/qemu.conf
  ln -s "$state/libvirtd.log" /run/libvirtd.log
}

# start-libvirtd [AUTH_OF_THE_READ_ONLY_SOCKET [ITS_MODE]]: returns when it listens.
starter() {
  cat << 'EOF'
#!/bin/bash
set -eu
cat > /run/libvirtd.conf << CONF
auth_unix_rw = "none"
auth_unix_ro = "${1:-none}"
unix_sock_ro_perms = "${2:-0777}"
log_outputs = "3:file:$(readlink /run/libvirtd.log)"
CONF
libvirtd --daemon --config /run/libvirtd.conf --pid-file /run/libvirtd.pid > /dev/null 2>&1 < /dev/null
until [ -S /run/libvirt/libvirt-sock-ro ]; do sleep 0.02; done
EOF
}

# start-activated: what systemd does. It makes the sockets listen, hands them to the daemon, and lives
# on; returns when one can ask.
activator() {
  cat << 'EOF'
#!/bin/bash
set -eu
perl -MSocket -MPOSIX -e '
  my @names = qw(libvirt-sock libvirt-sock-ro);
  for my $n (0, 1) {
    my $path = "/run/libvirt/$names[$n]";
    unlink $path;
    socket(my $made, AF_UNIX, SOCK_STREAM, 0) or die;
    bind($made, pack_sockaddr_un($path)) or die; listen($made, 30) or die; chmod 0777, $path;
    dup2(fileno($made), 10 + $n);
  }
  open(my $ready, ">", "/run/activated") or die;
  if (!fork) {
    dup2(10 + $_, 3 + $_) for 0, 1;
    @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 2, "libvirtd.socket:libvirtd-ro.socket");
    exec qw(libvirtd --config /run/libvirtd.conf --pid-file /run/libvirtd.pid);
  }
  pause' > /dev/null 2>&1 < /dev/null &
for try in {1..500}; do [ ! -e /run/activated ] || exit 0; sleep 0.02; done
exit 1
EOF
}

# domain STATE NUMBER
domain() {
  cat << EOF
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <test:runstate>$2</test:runstate>
    <name>vm-$1</name><uuid>$2$2$2$2$2$2$2$2-abcd-4000-8000-000000000001</uuid>
    <memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type>hvm</type></os>
  </domain>
EOF
}

nodes() {
  echo '<node>'
  domain running 1; domain blocked 2; domain paused 3; domain in-shutdown 4
  domain shut-off 5; domain crashed 6; domain pmsuspended 7
  echo '</node>'
}
