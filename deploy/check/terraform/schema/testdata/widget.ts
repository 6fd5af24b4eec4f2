// A resource of no cloud, in the form in which the typings have theirs.
export interface WidgetConfig extends cdktf.TerraformMetaArguments {
  readonly labels?: { [key: string]: string };
  readonly owner?: WidgetOwner;
  /**
  * boot block
  */
  readonly boot: WidgetBoot;
  /**
  * disk block
  */
  readonly disk?: WidgetDisk[];
}
export interface WidgetDisk {
}

export function widgetDiskToTerraform(struct?: WidgetDisk): any {
  return {
    mode: cdktf.stringToTerraform(struct!.mode),
  }
}


export function widgetDiskToHclTerraform(struct?: WidgetDisk): any {
  const attrs = {
    mode: {
      value: cdktf.stringToHclTerraform(struct!.mode),
      isBlock: false,
      type: "simple",
      storageClassType: "string",
    },
    zones: {
      value: cdktf.listMapperHcl(cdktf.stringToHclTerraform, false)(struct!.zones),
      isBlock: false,
      type: "set",
      storageClassType: "stringList",
    },
  };
}

export class WidgetDiskOutputReference extends cdktf.ComplexObject {
  // id - computed: true, optional: false, required: false
  public get id() {
    return this.getStringAttribute('id');
  }

  // mode - computed: false, optional: false, required: true
  private _mode?: string; 
  public get mode() {
    return this.getStringAttribute('mode');
  }

  // zones - computed: false, optional: true, required: false
  private _zones?: string[]; 
  public get zones() {
    return cdktf.Fn.tolist(this.getListAttribute('zones'));
  }
}

export class WidgetDiskList extends cdktf.ComplexList {
}
export function widgetBootToHclTerraform(struct?: WidgetBoot): any {
  const attrs = {
    image: {
      value: cdktf.stringToHclTerraform(struct!.image),
      isBlock: false,
      type: "simple",
      storageClassType: "string",
    },
  };
}

export class WidgetBootOutputReference extends cdktf.ComplexObject {
  // image - computed: true, optional: true, required: false
  private _image?: string; 
  public get image() {
    return this.getStringAttribute('image');
  }
}
export function widgetStatusToHclTerraform(struct?: WidgetStatus): any {
  const attrs = {
  };
}

export class WidgetStatusOutputReference extends cdktf.ComplexObject {
  // ready - computed: true, optional: false, required: false
  public get ready() {
    return this.getBooleanAttribute('ready');
  }
}

export function widgetOwnerToHclTerraform(struct?: WidgetOwner): any {
  const attrs = {
    name: {
      value: cdktf.stringToHclTerraform(struct!.name),
      isBlock: false,
      type: "simple",
      storageClassType: "string",
    },
  };
}

export class WidgetOwnerOutputReference extends cdktf.ComplexObject {
  // name - computed: false, optional: false, required: true
  private _name?: string; 
  public get name() {
    return this.getStringAttribute('name');
  }
}

export class Widget extends cdktf.TerraformResource {
  public static readonly tfResourceType = "example_widget";

  public constructor(scope: Construct, id: string, config: WidgetConfig) {
    super(scope, id, {
      terraformResourceType: 'example_widget',
      terraformGeneratorMetadata: {
        providerName: 'example',
        providerVersion: '1.2.3',
        providerVersionConstraint: '~> 1.0'
      },
    });
  }

  // address - computed: true, optional: false, required: false
  public get address() {
    return this.getStringAttribute('address');
  }

  // labels - computed: false, optional: true, required: false
  private _labels?: { [key: string]: string }; 
  public get labels() {
    return this.getStringMapAttribute('labels');
  }

  // counters - computed: true, optional: false, required: false
  private _counters = new cdktf.NumberMap(this, "counters");

  // status - computed: true, optional: false, required: false
  private _status = new WidgetStatusList(this, "status", false);

  // owner - computed: false, optional: true, required: false
  private _owner = new WidgetOwnerOutputReference(this, "owner");

  // boot - computed: false, optional: false, required: true
  private _boot = new WidgetBootOutputReference(this, "boot");

  // disk - computed: false, optional: true, required: false
  private _disk = new WidgetDiskList(this, "disk", false);

  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      labels: {
        value: cdktf.hashMapperHcl(cdktf.stringToHclTerraform)(this._labels),
        isBlock: false,
        type: "map",
        storageClassType: "stringMap",
      },
      owner: {
        value: widgetOwnerToHclTerraform(this._owner.internalValue),
        isBlock: true,
        type: "struct",
        storageClassType: "WidgetOwner",
      },
      boot: {
        value: widgetBootToHclTerraform(this._boot.internalValue),
        isBlock: true,
        type: "list",
        storageClassType: "WidgetBootList",
      },
      disk: {
        value: cdktf.listMapperHcl(widgetDiskToHclTerraform, true)(this._disk.internalValue),
        isBlock: true,
        type: "list",
        storageClassType: "WidgetDiskList",
      },
    };
  }
}
