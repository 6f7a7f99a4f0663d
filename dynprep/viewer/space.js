// The clip in 3D: what stands still, what moves at the frame that is shown, the camera and its path, points' ways.
"use strict";
class Space {
  constructor(root, data, clock) {
    this.root = root; this.data = data; this.clock = clock;
    const canvas = make("canvas"), room = make("div", {className: "room"}, canvas);
    this.measure = make("div", {className: "measure"});
    room.append(this.measure);
    const toggles = [["static", "static points"], ["moving", "moving points"], ["trails", "trails"], ["cameras", "cameras"]]
      .filter(([name]) => name !== "trails" || data.trails).map(([name, title]) => {
        const button = make("button", {type: "button", textContent: title, className: name});
        button.setAttribute("aria-pressed", true);
        button.onclick = () => { this.parts[name].visible = !this.parts[name].visible;
          button.setAttribute("aria-pressed", this.parts[name].visible); this.render(); };
        return button;
      });
    this.followButton = make("button", {type: "button", className: "follow", textContent: "look through the camera"});
    this.followButton.setAttribute("aria-pressed", false);
    this.followButton.onclick = () => this.setFollow(!this.follows);
    const home = make("button", {type: "button", textContent: "start view"});
    home.onclick = () => { this.setFollow(false); this.home(); };
    const [play, , at] = clockBar(clock); // the player has the slider
    const bar = make("div", {className: "bar"}, play, at, ...toggles, this.followButton, home);
    root.append(room, bar);
    try {
      this.renderer = new THREE.WebGLRenderer({canvas, antialias: false, preserveDrawingBuffer: true});
    } catch (refused) {
      room.replaceChildren(make("div", {className: "warn", textContent: "This browser draws no WebGL, which the view in 3D needs."}));
      bar.remove();
      return;
    }
    this.follows = false;
    this.renderer.outputColorSpace = "srgb-linear"; // colours are the frames', and stay as they are
    this.renderer.setClearColor(this.colour(16, 21, 28));
    this.scene = new THREE.Scene();
    this.eye = new THREE.PerspectiveCamera(50, 16 / 9, 1e-3, 1e4);
    this.poses = this.posesOf(data.cameras);
    this.eye.up.set(...this.poses[0].axes[1].map((value) => -value)); // which the controls take when they are made
    this.controls = new THREE.OrbitControls(this.eye, canvas);
    this.controls.addEventListener("change", () => this.render());
    this.controls.enableZoom = false; // so that the wheel scrolls the page until the view is clicked
    canvas.addEventListener("pointerdown", () => {
      this.controls.enableZoom = true;
      if (this.follows) this.setFollow(false);
    });
    canvas.addEventListener("pointerleave", () => { this.controls.enableZoom = false; });
    this.build();
    this.home();
    clock.follow(() => this.frame());
    new ResizeObserver(() => this.render()).observe(canvas);
  }
  // Places as 16-bit steps of a box, in the axes of cameras.json (x right, y down, z forward), become y up, z backward.
  places(text) {
    const steps = new Uint16Array(bytesOf(text).buffer), out = new Float32Array(steps.length);
    const {low, high} = this.data.box;
    for (let k = 0; k < steps.length; k++) {
      const axis = k % 3, value = low[axis] + steps[k] / 65535 * (high[axis] - low[axis]);
      out[k] = axis ? -value : value;
    }
    return out;
  }
  colour(red, green, blue) { return new THREE.Color().setRGB(red / 255, green / 255, blue / 255); }
  cloud(places, colours, size) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3, true));
    const material = new THREE.PointsMaterial({size, sizeAttenuation: false, vertexColors: true});
    const points = new THREE.Points(geometry, material);
    points.frustumCulled = false;
    return points;
  }
  lines(places, colour) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    const lines = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({color: this.colour(...colour)}));
    lines.frustumCulled = false;
    return lines;
  }
  build() {
    const {data} = this, still = this.places(data.still.places);
    this.movingPlaces = data.moving.places.map((text) => this.places(text));
    this.movingColours = data.moving.colours.map((text) => bytesOf(text));
    this.parts = {
      static: this.cloud(still, bytesOf(data.still.colours), 2 * Math.min(2, devicePixelRatio || 1)),
      moving: this.cloud(new Float32Array(3), new Uint8Array(3), 3 * Math.min(2, devicePixelRatio || 1)),
      trails: this.lines(new Float32Array(6), [255, 209, 102]), cameras: this.lines(this.path(), [91, 155, 255]),
    };
    this.now = this.lines(new Float32Array(6), [255, 107, 107]);
    this.parts.cameras.add(this.now);
    if (data.trails) this.ways = data.trails.places.map((text) => this.places(text));
    this.scene.add(...Object.values(this.parts));
    // nearness of what is looked at: a median, which far points do not move
    const depths = [], first = this.poses[0];
    for (let k = 0; k < still.length; k += 3 * Math.max(1, Math.floor(still.length / 3000)))
      depths.push([0, 1, 2].reduce((sum, a) => sum + (still[k + a] - first.at[a]) * first.axes[2][a], 0));
    depths.sort((a, b) => a - b);
    this.depth = Math.max(1e-3, depths[Math.floor(depths.length / 2)] || 1);
  }
  // Places and axes of cameras, given as camera to world, 3 x 4 a frame.
  posesOf(cameras) {
    return cameras.map((rows) => rows.flat()).map((m) => ({at: [m[3], -m[7], -m[11]],
      axes: [0, 1, 2].map((axis) => [m[axis], -m[4 + axis], -m[8 + axis]])}));
  }
  // The corners of a camera's image at some depth, joined to its place and to each other.
  frustum(pose, size) {
    const [wide, tall] = this.data.view.map((half) => half * size);
    const corner = (a, b) => [0, 1, 2].map((k) => pose.at[k] + pose.axes[0][k] * a * wide + pose.axes[1][k] * b * tall + pose.axes[2][k] * size);
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    return corners.flatMap((c, k) => [...pose.at, ...c, ...c, ...corners[(k + 1) % 4]]);
  }
  path() {
    const places = [], every = Math.max(1, Math.floor(this.poses.length / 12));
    this.poses.forEach((pose, k) => {
      if (k) places.push(...this.poses[k - 1].at, ...pose.at);
      if (k % every === 0) places.push(...this.frustum(pose, this.data.camera_size));
    });
    return new Float32Array(places);
  }
  home() {
    const pose = this.poses[0], back = 0.2 * this.depth, up = 0.2 * this.depth, aside = 0.15 * this.depth;
    const place = (a, b, c) => pose.at.map((value, k) => value + pose.axes[0][k] * a + pose.axes[1][k] * b + pose.axes[2][k] * c);
    this.eye.position.set(...place(aside, -up, -back));
    this.controls.target.set(...place(0, 0, this.depth));
    this.controls.update();
    this.render();
  }
  setFollow(on) {
    this.follows = on;
    this.followButton.setAttribute("aria-pressed", on);
    if (!on) this.eye.fov = 50;
    this.frame();
  }
  replace(part, places, colours) {
    part.geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    if (colours) part.geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3, true));
  }
  frame() {
    if (!this.renderer) return;
    const at = this.clock.at, pose = this.poses[at];
    this.replace(this.parts.moving, this.movingPlaces[at], this.movingColours[at]);
    this.replace(this.now, new Float32Array(this.frustum(pose, 2 * this.data.camera_size)));
    this.now.visible = !this.follows;
    if (this.ways) this.replace(this.parts.trails, this.trail(at));
    if (this.follows) {
      this.eye.fov = 2 * Math.atan(this.data.view[1]) * 180 / Math.PI;
      this.eye.up.set(...pose.axes[1].map((value) => -value));
      this.eye.position.set(...pose.at);
      this.controls.target.set(...pose.at.map((value, k) => value + pose.axes[2][k] * this.depth));
      this.controls.update();
    }
    this.render();
  }
  // Segments of the last frames' ways, of points that are seen at both ends.
  trail(at) {
    const {seen, count, back} = this.data.trails, places = [];
    const isSeen = (this.seen ??= seen.map(bytesOf));
    for (let k = Math.max(1, at - back + 1); k <= at; k++)
      for (let n = 0; n < count; n++)
        if (isSeen[k][n] && isSeen[k - 1][n])
          places.push(...this.ways[k - 1].subarray(3 * n, 3 * n + 3), ...this.ways[k].subarray(3 * n, 3 * n + 3));
    return new Float32Array(places);
  }
  render() {
    if (!this.renderer || this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      const canvas = this.renderer.domElement, {clientWidth: width, clientHeight: height} = canvas;
      if (!width || !height) return;
      const ratio = Math.min(2, devicePixelRatio || 1);
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        this.renderer.setPixelRatio(ratio);
        this.renderer.setSize(width, height, false);
      }
      this.eye.aspect = width / height;
      this.eye.near = this.depth / 500; this.eye.far = this.depth * 500;
      this.eye.updateProjectionMatrix();
      this.renderer.render(this.scene, this.eye);
      this.showMeasure(height);
      this.drawn = (this.drawn || 0) + 1;
    });
  }
  // A bar of a round length, at the distance of what is looked at.
  showMeasure(height) {
    const distance = this.eye.position.distanceTo(this.controls.target);
    const unit = height / (2 * Math.tan(this.eye.fov * Math.PI / 360) * distance); // pixels of one unit
    const most = 150 / unit, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((k) => k * power).find((k) => k <= most) || power;
    this.measure.style.width = `${Math.round(length * unit)}px`;
    this.measure.textContent = `${digits(length)} ${this.data.unit}`;
  }
}
