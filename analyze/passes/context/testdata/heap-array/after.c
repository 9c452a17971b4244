// want: KLP206 error my_done
// text: runs in an interrupt (virtio_config_ops.find_vqs, include/linux/virtio_config.h)
// cflags: -gbtf
// cflags: -mno-sse
struct virtqueue { void *priv; }; struct virtio_device; typedef void vq_callback_t(struct virtqueue *);
struct virtio_config_ops { int (*find_vqs)(struct virtio_device *, unsigned, struct virtqueue **, vq_callback_t **); };
struct virtio_device { const struct virtio_config_ops *config; };
extern void *__kmalloc(unsigned long, unsigned int); extern void kfree(const void *); extern void other(void *); extern void msleep(unsigned int);
static void my_done(struct virtqueue *vq) { msleep(1); other(vq->priv); }
int my_find(struct virtio_device *vdev, unsigned n, struct virtqueue **vqs) {
	vq_callback_t **callbacks = __kmalloc(n * sizeof(*callbacks), 0xcc0); unsigned i; int err;
	if (!callbacks) return -12;
	for (i = 0; i < n; i++) callbacks[i] = my_done;
	err = vdev->config->find_vqs(vdev, n, vqs, callbacks);
	kfree(callbacks); return err; }
