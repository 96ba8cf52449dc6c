using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Tests.Nn;

public class ModuleTests
{
    [Fact]
    public void Names_are_dotted_snake_case_in_the_order_of_declaration()
    {
        var names = new Network().NamedParameters().Select(p => p.Name);

        Assert.Equal(
            [
                "scale", "time_embedding.weight", "conv1.weight", "blocks.0.weight", "blocks.1.weight", "pairs.0.0.weight",
                "by_name.left.weight", "to_out.0.weight", "private_part.weight",
            ],
            names);
    }

    [Theory]
    [InlineData("Conv1", "conv1")]
    [InlineData("_conv1", "conv1")]
    [InlineData("ConvNormOut", "conv_norm_out")]
    [InlineData("ToQ", "to_q")]
    [InlineData("<ToQ>k__BackingField", "to_q")]
    [InlineData("<captured>P", "captured")]
    [InlineData("Linear_1", "linear_1")]
    [InlineData("NHWCInput", "nhwc_input")]
    [InlineData("Conv2dOut", "conv2d_out")]
    public void Member_names_become_snake_case(string member, string name) => Assert.Equal(name, ModuleFields.SnakeCase(member));

    [Fact]
    public void A_list_that_grows_is_seen()
    {
        var network = new Network();
        int before = network.Parameters().Count;
        network.Blocks.Add(new Leaf());

        Assert.Equal(before + 1, network.Parameters().Count);
    }

    [Fact]
    public void A_shared_parameter_is_listed_once()
    {
        var shared = new Leaf();
        var names = new Holder { First = shared, Second = shared }.NamedParameters().Select(p => p.Name);

        Assert.Equal(["first.weight"], names);
    }

    [Fact]
    public void Modules_that_hold_each_other_are_walked_once()
    {
        var a = new Holder();
        a.First = new Holder { First = a, Second = new Leaf() };

        Assert.Equal(["first.second.weight"], a.NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void Fields_of_base_classes_come_first_and_private_ones_are_found()
    {
        Assert.Equal(["hidden.weight", "own.weight"], new Derived().NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void Two_parameters_of_one_name_are_an_error()
    {
        var error = Assert.Throws<InvalidOperationException>(() => new Clashing().NamedParameters());
        Assert.Contains("'weight.weight'", error.Message);
    }

    [Fact]
    public void Train_and_eval_reach_every_module()
    {
        var network = new Network();
        network.Eval();
        Assert.All(network.NamedModules(), m => Assert.False(m.Module.IsTraining));
        network.Train();
        Assert.All(network.NamedModules(), m => Assert.True(m.Module.IsTraining));
    }

    [Fact]
    public void A_state_goes_round_and_from_device_to_device()
    {
        var from = new Leaf(Device.Cpu, 3);
        var to = new Leaf(Device.Reference, 0);
        to.LoadStateDict(from.StateDict());

        Assert.Equal([3.0, 3.0], to.Weight.ToDoubleArray());
    }

    [Fact]
    public void An_ill_fitting_state_is_refused_as_a_whole_with_every_reason()
    {
        var network = new Holder { First = new Leaf(), Second = new Leaf() };
        var state = new Dictionary<string, Tensor>
        {
            ["first.weight"] = Tensor.Ones([3]),
            ["third.weight"] = Tensor.Ones([2]),
        };
        var error = Assert.Throws<ArgumentException>(() => network.LoadStateDict(state));

        Assert.Contains("Holder", error.Message);
        Assert.Contains("missing (1): second.weight", error.Message);
        Assert.Contains("unexpected (1): third.weight", error.Message);
        Assert.Contains("first.weight: [3] does not fit [2]", error.Message);
    }

    [Fact]
    public void A_refused_state_changes_nothing()
    {
        var network = new Holder { First = new Leaf(), Second = new Leaf() };
        var state = new Dictionary<string, Tensor> { ["first.weight"] = Tensor.Ones([2]), ["second.weight"] = Tensor.Ones([1]) };
        Assert.Throws<ArgumentException>(() => network.LoadStateDict(state));

        Assert.Equal([0f, 0f], ((Leaf)network.First).Weight.ToArray());
    }

    [Fact]
    public void Without_strictness_only_the_names_in_common_are_loaded()
    {
        var network = new Holder { First = new Leaf(), Second = new Leaf() };
        network.LoadStateDict(new Dictionary<string, Tensor> { ["first.weight"] = Tensor.Ones([2]), ["third"] = Tensor.Ones([1]) }, strict: false);

        Assert.Equal([1f, 1f], ((Leaf)network.First).Weight.ToArray());
        Assert.Equal([0f, 0f], ((Leaf)network.Second!).Weight.ToArray());
    }

    [Fact]
    public void A_frozen_module_asks_for_no_gradients()
    {
        var network = new Network();
        network.RequireGrad(false);
        Assert.All(network.Parameters(), p => Assert.False(p.RequiresGrad));
    }

    [Fact]
    public void It_prints_as_a_tree()
    {
        string expected = string.Join('\n', "Holder, 4 parameters", "  first: Leaf(2 ones)", "  second: Holder", "    first: Leaf(2 ones)");
        Assert.Equal(expected, new Holder { First = new Leaf(), Second = new Holder { First = new Leaf() } }.ToString());
    }

    private sealed class Leaf(Backend? device = null, double value = 0) : Module
    {
        public Parameter Weight { get; } = Init.Constant([2], value, device);

        protected override string Describe() => "2 ones";
    }

    private sealed class Holder : Module
    {
        public Module? First { get; set; }

        public Module? Second { get; set; }
    }

    private sealed class Network : Module
    {
        public readonly Parameter Scale = Init.Ones([1]);

        public readonly float[] NotAParameter = [1, 2];

        public Leaf TimeEmbedding { get; } = new();

        public Leaf Conv1 { get; } = new();

        public List<Leaf> Blocks { get; } = [new(), new()];

        public (Leaf, int)[] Pairs { get; } = [(new(), 1)];

        public Dictionary<string, Leaf> ByName { get; } = new() { ["left"] = new() };

        [Name("to_out.0")]
        public Leaf ToOut { get; } = new();

        private readonly Leaf _privatePart = new();

        public object Part => _privatePart;

        public Tensor? Cache { get; set; } = Tensor.Ones([1]);
    }

    private abstract class Base : Module
    {
        private readonly Leaf _hidden = new();

        public Module Hidden => _hidden;
    }

    private sealed class Derived : Base
    {
        public Leaf Own { get; } = new();
    }

    private sealed class Clashing : Module
    {
        private readonly Leaf _weight = new();

        public Leaf Weight { get; } = new();

        public Module Other => _weight;
    }
}
