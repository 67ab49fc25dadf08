#!/usr/bin/env bash
# Shows the bundle in an image of PHP that has no Python: builds a root file system with php-fpm, nginx, their
# shared libraries and the bundle, and starts it as PID 1, read-only, with a configuration of variables alone.
#   packaging/php-image-root.sh BUNDLE DIRECTORY [PORT]
# It needs root, unshare, and php-fpm and nginx of this machine (Debian: php-fpm, nginx-light). Ctrl-C stops it.
set -euo pipefail

bundle=$(realpath "${1:?usage: php-image-root.sh BUNDLE DIRECTORY [PORT]}")
root=$(realpath -m "${2:?usage: php-image-root.sh BUNDLE DIRECTORY [PORT]}")
port=${3:-8080}
php=$(compgen -G '/usr/sbin/php-fpm*' | head -n 1)

mkdir -p "$root"/{dev,etc/nginx,etc/php,proc,run,tmp,var/www/html,usr/bin,usr/lib/cbox-init}

# 1. The programs and what ldd says that they need. Nothing of Python is among it.
for program in "$php" /usr/sbin/nginx /bin/sh; do
  for file in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do
    install -D --mode=755 "$file" "$root$file"
  done
done
ln -sf "$(basename "$php")" "$root/usr/sbin/php-fpm"

# 2. The users, and what the two programs are configured with.
printf 'root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nwww-data:x:33:\n' >"$root/etc/group"
cat >"$root/etc/php/fpm.conf" <<END
[global]
error_log = /dev/stderr
[www]
user = www-data
group = www-data
listen = /dev/shm/php.sock
listen.owner = www-data
pm = \${PHP_FPM_PM}
pm.max_children = \${PHP_FPM_MAX_CHILDREN}
pm.start_servers = \${PHP_FPM_START_SERVERS}
pm.min_spare_servers = \${PHP_FPM_MIN_SPARE}
pm.max_spare_servers = \${PHP_FPM_MAX_SPARE}
pm.status_path = /status
clear_env = no
END
cat >"$root/etc/nginx/nginx.conf" <<END
user www-data;
pid /dev/shm/nginx.pid;
error_log /dev/stderr;
events {}
http {
  access_log off;
  client_body_temp_path /dev/shm/body; proxy_temp_path /dev/shm/proxy; fastcgi_temp_path /dev/shm/fastcgi;
  uwsgi_temp_path /dev/shm/uwsgi; scgi_temp_path /dev/shm/scgi;
  server {
    listen 127.0.0.1:$port;
    root /var/www/html;
    location / {
      fastcgi_pass unix:/dev/shm/php.sock;
      fastcgi_param SCRIPT_FILENAME /var/www/html/index.php;
      fastcgi_param SCRIPT_NAME \$uri;
      fastcgi_param REQUEST_METHOD \$request_method;
      fastcgi_param QUERY_STRING \$query_string;
    }
  }
}
END
echo '<?php header("Content-Type: text/plain"); echo "PHP ", PHP_VERSION, " of instance ", getenv("CBOX_INIT_INSTANCE_ID"), "\n";
foreach (["LD_LIBRARY_PATH", "PYTHONHOME"] as $name) echo $name, "=", getenv($name), "\n";' >"$root/var/www/html/index.php"

# 3. The bundle: what `COPY --from` does in a Dockerfile.
cp -a "$bundle/." "$root/usr/lib/cbox-init"
ln -sf ../lib/cbox-init/cbox-init "$root/usr/bin/cbox-init"

# 4. PID 1 in namespaces of its own: the root read-only, /dev and /proc as Docker has them.
enter=$(
  cat <<'END'
mount --bind "$0" "$0"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for device in null zero full random urandom; do
  : >"$0/dev/$device"
  mount --bind "/dev/$device" "$0/dev/$device"
done
ln -s /proc/self/fd "$0/dev/fd"
ln -s /proc/self/fd/1 "$0/dev/stdout"
ln -s /proc/self/fd/2 "$0/dev/stderr"
mkdir -m 1777 "$0/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
mount -t proc proc "$0/proc"
mount -o remount,bind,ro "$0"
exec chroot "$0" "$@"
END
)
exec env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  CBOX_INIT_GLOBAL_LOG_FORMAT="${LOG_FORMAT:-text}" \
  CBOX_INIT_PROCESS_PHP_FPM_COMMAND='["php-fpm","-n","-F","-y","/etc/php/fpm.conf"]' \
  CBOX_INIT_PROCESS_PHP_FPM_ENABLED=true \
  CBOX_INIT_PROCESS_NGINX_COMMAND='["nginx","-c","/etc/nginx/nginx.conf","-g","daemon off;"]' \
  CBOX_INIT_PROCESS_NGINX_DEPENDS_ON='["php-fpm"]' \
  PHP_FPM_AUTOTUNE_PROFILE="${PROFILE:-light}" \
  unshare --pid --fork --mount --kill-child bash -euc "$enter" "$root" cbox-init serve
